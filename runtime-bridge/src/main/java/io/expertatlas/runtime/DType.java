package io.expertatlas.runtime;

/** The element type of a tensor. */
public enum DType {
  /** IEEE 754, 32 bits. */
  F32(4),
  /** IEEE 754, 16 bits. */
  F16(2),
  /** The upper half of an {@link #F32}. */
  BF16(2),
  /** Signed whole numbers, 32 bits. */
  I32(4);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of an element. */
  public int bytes() {
    return bytes;
  }
}
