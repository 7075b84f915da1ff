package io.expertatlas.trace.input;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class HalfFloatTest {
  @Test
  void everyValueFollowsTheDefinition() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      int exponent = bits >> 10 & 31;
      int fraction = bits & 1023;
      double magnitude =
          exponent == 0
              ? fraction * Math.pow(2, -24)
              : (1 + fraction / 1024.0) * Math.pow(2, exponent - 15);
      if (exponent == 31) {
        magnitude = fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
      }

      float expected = (float) (bits >> 15 == 0 ? magnitude : -magnitude);
      assertThat((Float) HalfFloat.toFloat((short) bits))
          .as("bits %04x", bits)
          .isEqualTo((Float) expected);
    }
  }
}
