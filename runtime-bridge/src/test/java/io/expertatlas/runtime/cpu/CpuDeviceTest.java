package io.expertatlas.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.DeviceContract;
import io.expertatlas.runtime.Tensor;
import org.junit.jupiter.api.Test;

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
