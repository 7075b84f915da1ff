package io.expertatlas.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.DeviceContract;
import io.expertatlas.runtime.Tensor;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CpuDeviceTest extends DeviceContract {
  @Override
  protected Device open() {
    return new CpuDevice(0, 1);
  }

  @Override
  protected double tolerance(int terms) {
    return 4e-7 * (1 + terms);
  }

  @Test
  void idsOutsideOfATableAreRefused() {
    try (Device device = open()) {
      Tensor ids = device.allocate("ids", DType.I32, 1);
      Tensor table = device.allocate("table", DType.F32, 4, 2);
      Tensor out = device.allocate("out", DType.F32, 1, 2);
      device.write(ids, 4);

      assertThatThrownBy(() -> device.embed(ids, table, 1, out))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Invalid index of embed: 4, the table has 4 rows");
    }
  }

  @Test
  void aClosedDeviceRefusesToWork() {
    Device device = open();
    Tensor tensor = device.allocate("tensor", DType.F32, 2);
    device.close();

    assertThatThrownBy(() -> device.readFloats(tensor))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("The memory of this device has been freed");
  }

  @ParameterizedTest
  @CsvSource({"1, 1031, 4099", "3, 1031, 1409", "16, 200, 1301", "17, 200, 1301", "2, 20001, 113"})
  void largeProductsAreThoseOfOneThreadToTheBit(int rows, int in, int out) {
    SplittableRandom random = new SplittableRandom(rows);
    float[] x = floats(random, rows * in);
    float[] weight = floats(random, in * out);
    float[] alone = product(1, rows, in, out, x, weight);
    for (int threads : new int[] {2, 3, 8}) {
      float[] found = product(threads, rows, in, out, x, weight);
      if (rows <= 16) { // OpenBLAS may cut others as it likes
        assertThat(found).isEqualTo(alone);
      }

      for (int i = 0; i < 50; i++) {
        int t = random.nextInt(rows);
        int o = random.nextInt(out);
        double sum = 0;
        for (int j = 0; j < in; j++) {
          sum += (double) x[t * in + j] * weight[o * in + j];
        }

        assertThat((double) found[t * out + o]).isCloseTo(sum, within(2e-5 * Math.sqrt(in)));
      }
    }
  }

  private static float[] floats(SplittableRandom random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextDouble(-1, 1);
    }

    return values;
  }

  private static float[] product(
      int threads, int rows, int in, int out, float[] x, float[] weight) {
    try (Device device = new CpuDevice(0, threads)) {
      Tensor input = device.allocate("x", DType.F32, rows, in);
      Tensor matrix = device.allocate("weight", DType.F32, out, in);
      Tensor result = device.allocate("out", DType.F32, rows, out);
      device.write(input, x);
      device.write(matrix, weight);
      device.linear(input, matrix, result);
      return device.readFloats(result);
    }
  }

  @Test
  void exponentialIsNearTheRealOne() {
    for (float x = -87; x < 88; x += 0.0137f) {
      assertThat(FloatMath.exp(x) / Math.exp(x)).isBetween(1 - 4e-7, 1 + 4e-7);
    }

    assertThat(FloatMath.exp(Float.NEGATIVE_INFINITY)).isZero();
    assertThat(FloatMath.exp(-100)).isZero();
    assertThat(FloatMath.exp(100)).isInfinite();
    assertThat(FloatMath.exp(Float.NaN)).isNaN();
    assertThat(FloatMath.exp(0)).isEqualTo(1);
  }

  @Test
  void halvesAreWidenedExactly() {
    assertThat(Floats.half((short) 0x3c00)).isEqualTo(1);
    assertThat(Floats.half((short) 0xc000)).isEqualTo(-2);
    assertThat(Floats.half((short) 0x0001)).isEqualTo(0x1p-24f);
    assertThat(Floats.half((short) 0x83ff)).isEqualTo(-1023 * 0x1p-24f);
    assertThat(Floats.half((short) 0x7bff)).isEqualTo(65504);
    assertThat(Floats.half((short) 0xfc00)).isEqualTo(Float.NEGATIVE_INFINITY);
    assertThat(Floats.half((short) 0x7e00)).isNaN();
  }
}
