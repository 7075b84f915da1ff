package io.expertatlas.trace.torch;

import java.util.Locale;
import java.util.Optional;

/** The element types of tensors and arrays that are read. */
public enum TorchType {
  /** IEEE 754, 64 bits. */
  FLOAT64(8, "Double", "f8"),
  /** IEEE 754, 32 bits. */
  FLOAT32(4, "Float", "f4"),
  /** IEEE 754, 16 bits. */
  FLOAT16(2, "Half", "f2"),
  /** The upper half of a 32-bit IEEE 754 number. */
  BFLOAT16(2, "BFloat16", ""),
  /** Signed, 64 bits. */
  INT64(8, "Long", "i8"),
  /** Signed, 32 bits. */
  INT32(4, "Int", "i4"),
  /** Signed, 16 bits. */
  INT16(2, "Short", "i2"),
  /** Signed, 8 bits. */
  INT8(1, "Char", "i1"),
  /** Unsigned, 8 bits. */
  UINT8(1, "Byte", "u1"),
  /** Unsigned, 16 bits; in numpy arrays only. */
  UINT16(2, "", "u2"),
  /** Unsigned, 32 bits; in numpy arrays only. */
  UINT32(4, "", "u4"),
  /** One byte, 0 or 1. */
  BOOL(1, "Bool", "b1");

  private final int size;
  private final String storage;
  private final String numpy;

  TorchType(int size, String storage, String numpy) {
    this.size = size;
    this.storage = storage;
    this.numpy = numpy;
  }

  /** Bytes of an element. */
  public int size() {
    return size;
  }

  /** Whether elements are floating-point numbers. */
  public boolean isFloating() {
    return this == FLOAT64 || this == FLOAT32 || this == FLOAT16 || this == BFLOAT16;
  }

  static Optional<TorchType> ofStorage(String name) {
    for (TorchType type : values()) {
      if (!type.storage.isEmpty() && name.equals(type.storage + "Storage")) {
        return Optional.of(type);
      }
    }

    return Optional.empty();
  }

  static Optional<TorchType> ofNumpy(String code) {
    for (TorchType type : values()) {
      if (!type.numpy.isEmpty() && code.equals(type.numpy)) {
        return Optional.of(type);
      }
    }

    return Optional.empty();
  }

  /** The type of a torch dtype's name, such as {@code bfloat16}. */
  static Optional<TorchType> ofDtype(String name) {
    for (TorchType type : values()) {
      if (!type.storage.isEmpty() && name.equals(type.toString())) {
        return Optional.of(type);
      }
    }

    return Optional.empty();
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
