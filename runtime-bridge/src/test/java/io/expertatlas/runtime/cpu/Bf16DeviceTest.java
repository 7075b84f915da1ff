package io.expertatlas.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.DeviceContract;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.TensorData;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What every device must do, with bf16 weights; skipped where the processor has no such products.
 */
class Bf16DeviceTest extends DeviceContract {
  @BeforeAll
  static void needsBf16() {
    assumeTrue(CpuDevice.whyNoBfloat16().isEmpty(), () -> "skipped: " + CpuDevice.whyNoBfloat16());
  }

  @Override
  protected Device open() {
    return new CpuDevice(0, 1, DType.BF16);
  }

  /** Inputs of products have 8 bits; errors of terms hardly ever point the same way. */
  @Override
  protected double tolerance(int terms) {
    return 0x1p-7 * Math.sqrt(1 + terms);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1",
    "1, 192, 64",
    "3, 33, 7",
    "1, 1031, 4099",
    "3, 1031, 4099",
    "16, 200, 1301",
    "17, 4096, 513",
    "130, 64, 100"
  })
  void productsAreThoseOfRoundedInputsOnAnyThreadsToTheBit(int rows, int in, int out) {
    SplittableRandom random = new SplittableRandom(rows + in);
    float[] x = floats(random, rows * in);
    float[] weight = floats(random, in * out);
    float[] alone = product(1, rows, in, out, x, weight);
    for (int threads : new int[] {2, 3, 8}) {
      assertThat(product(threads, rows, in, out, x, weight)).isEqualTo(alone);
    }

    for (int i = 0; i < 300; i++) {
      int t = random.nextInt(rows);
      int o = random.nextInt(out);
      double sum = 1;
      for (int j = 0; j < in; j++) {
        sum += (double) rounded(x[t * in + j]) * rounded(weight[o * in + j]);
      }

      assertThat((double) alone[t * out + o]).isCloseTo(sum, within(1e-6 * Math.max(8, in)));
    }
  }

  private static float rounded(float value) {
    return Float.intBitsToFloat(Bf16.round(value) << 16);
  }

  private static float[] floats(SplittableRandom random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextDouble(-1, 1);
    }

    return values;
  }

  /** Of a view that begins within a larger tensor, added to ones. */
  private static float[] product(
      int threads, int rows, int in, int out, float[] x, float[] weight) {
    try (Device device = new CpuDevice(0, threads, DType.BF16)) {
      Tensor input = device.allocate("x", DType.F32, rows, in);
      Tensor matrix = device.rows(device.allocate("weight", DType.BF16, out + 3L, in), 2, out);
      Tensor result = device.allocate("out", DType.F32, rows, out);
      float[] ones = new float[rows * out];
      Arrays.fill(ones, 1);
      device.write(input, x);
      device.load(new Stored(DType.F32, matrix.shape(), floatBytes(weight)), matrix);
      device.write(result, ones);
      device.linearAdd(input, matrix, result);
      return device.readFloats(result);
    }
  }

  private static ByteBuffer floatBytes(float[] values) {
    ByteBuffer bytes = little(values.length * Float.BYTES);
    bytes.asFloatBuffer().put(values);
    return bytes;
  }

  private static ByteBuffer little(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Values as a checkpoint holds them. */
  private record Stored(DType type, List<Long> shape, ByteBuffer bytes) implements TensorData {
    @Override
    public String name() {
      return "stored";
    }

    @Override
    public void read(long firstElement, ByteBuffer into) {
      into.put(bytes.slice((int) firstElement * type.bytes(), into.remaining()));
    }
  }

  @Test
  void weightsOfAnyTypeAreRoundedToTheNearestAndBf16OnesKept() {
    int[] kept = {0x0000, 0x8000, 0x3f80, 0x0001, 0x7f7f, 0xff80, 0x7fc1};
    ByteBuffer bf16 = little(2 * kept.length);
    for (int bits : kept) {
      bf16.putShort((short) bits);
    }

    float[] wide = {1, 1 + 0x1p-8f, 1 + 0x3p-8f, -1 - 0x1.01p-8f, 3.4e38f, Float.NaN, 1e-45f};
    short[] halves = {0x3c00, 0x0001, (short) 0xfbff, 0x3c05, 0x7c00, 0x7e00, 0x3c04};
    ByteBuffer f16 = little(2 * halves.length);
    f16.asShortBuffer().put(halves);
    List<Long> shape = List.of(7L);
    try (Device device = open()) {
      Tensor tensor = device.allocate("weights", DType.BF16, 7);
      device.load(new Stored(DType.BF16, shape, bf16), tensor);
      float[] found = device.readFloats(tensor);
      for (int i = 0; i < kept.length; i++) {
        assertThat(Float.floatToRawIntBits(found[i])).isEqualTo(kept[i] << 16);
      }

      device.load(new Stored(DType.F32, shape, floatBytes(wide)), tensor);
      assertThat(device.readFloats(tensor))
          .containsExactly(1, 1, 1 + 0x1p-6f, -1 - 0x1p-7f, Float.POSITIVE_INFINITY, Float.NaN, 0);
      device.load(new Stored(DType.F16, shape, f16), tensor);
      assertThat(device.readFloats(tensor))
          .containsExactly(1, 0x1p-24f, -65536, 1 + 0x1p-7f, Float.POSITIVE_INFINITY, Float.NaN, 1);
    }
  }

  @Test
  void weightsTakeTwoBytes() {
    try (Device device = open()) {
      assertThat(device.weightType()).isEqualTo(DType.BF16);
      assertThat(device.activationType()).isEqualTo(DType.F32);
      assertThat(device.allocate("weights", DType.BF16, 3, 5).bytes()).isEqualTo(30);
    }
  }

  @Test
  void weightsGoToTheHostAndBack() {
    float[] values = floats(new SplittableRandom(4), 300);
    try (Device device = open()) {
      Tensor host = device.allocateOnHost("kept", DType.BF16, 100, 3);
      Tensor slots = device.allocate("slots", DType.BF16, 2, 100, 3);
      Tensor slot = device.reshape(device.rows(slots, 1, 1), 100, 3);
      device.load(new Stored(DType.F32, slot.shape(), floatBytes(values)), slot);
      float[] expected = device.readFloats(slot);
      device.store(slot, host);
      device.load(new Stored(DType.F32, slot.shape(), floatBytes(new float[300])), slot);
      device.fetch(host, slot).join();

      assertThat(device.readFloats(slot)).isEqualTo(expected);
      assertThat(device.readFloats(device.rows(slots, 0, 1))).containsOnly(0);
    }
  }

  @Test
  void aDeviceOfF32HoldsNoBf16() {
    try (Device device = new CpuDevice(0, 1)) {
      assertThatThrownBy(() -> device.allocate("weights", DType.BF16, 3))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(
              "Invalid type of tensor weights on the CPU: BF16, I32, F32 or that of weights, F32");
    }
  }
}
