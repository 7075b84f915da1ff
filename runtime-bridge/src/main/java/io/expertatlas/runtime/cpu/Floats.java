package io.expertatlas.runtime.cpu;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.TensorData;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ShortBuffer;

/** Stored numbers of any type, widened to floats, piece by piece. */
final class Floats {
  private static final int PIECE = 1 << 18;

  private Floats() {}

  /** Copies all values of a tensor. */
  static void load(TensorData values, CpuTensor into) {
    float[] floats = new float[(int) Math.min(PIECE, values.elements())];
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(floats.length * values.type().bytes())
            .order(ByteOrder.LITTLE_ENDIAN);
    for (long first = 0; first < values.elements(); first += floats.length) {
      int count = (int) Math.min(floats.length, values.elements() - first);
      bytes.clear().limit(count * values.type().bytes());
      values.read(first, bytes);
      bytes.flip();
      widen(values.type(), bytes, floats, count);
      into.put(first, floats, count);
    }
  }

  static void widen(DType type, ByteBuffer bytes, float[] into, int count) {
    switch (type) {
      case F32 -> bytes.asFloatBuffer().get(into, 0, count);
      case BF16 -> {
        ShortBuffer shorts = bytes.asShortBuffer();
        for (int i = 0; i < count; i++) {
          into[i] = Float.intBitsToFloat(shorts.get(i) << 16);
        }
      }
      case F16 -> {
        ShortBuffer shorts = bytes.asShortBuffer();
        for (int i = 0; i < count; i++) {
          into[i] = half(shorts.get(i));
        }
      }
      case I32 -> throw new IllegalArgumentException("Invalid weights: whole numbers");
    }
  }

  /** IEEE 754 binary16 to binary32, exactly; NaN payloads are kept. */
  static float half(short bits) {
    int sign = (bits & 0x8000) << 16;
    int exponent = bits >> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    if (exponent == 0) {
      float small = fraction * 0x1p-24f;
      return sign == 0 ? small : -small;
    }

    int wide = exponent == 31 ? 0xff : exponent + 112;
    return Float.intBitsToFloat(sign | wide << 23 | fraction << 13);
  }
}
