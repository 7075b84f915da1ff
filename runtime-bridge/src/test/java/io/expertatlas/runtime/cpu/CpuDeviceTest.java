package io.expertatlas.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.DeviceContract;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.HostTensor;
import io.expertatlas.runtime.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
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

  /** Memory of somebody else. */
  private record Foreign(DType type, List<Long> shape, Pointer memory) implements HostTensor {
    Foreign(DType type, Long... shape) {
      this(type, List.of(shape), Pointer.calloc(1 << 16, 1));
    }

    @Override
    public long address() {
      return memory.address();
    }
  }

  @ParameterizedTest
  @CsvSource({"F32", "BF16"})
  void expertsAreComputedFromWeightsAndRowsInMemoryOfOthers(DType type) {
    assumeTrue(
        type == DType.F32 || CpuDevice.whyNoBfloat16().isEmpty(),
        () -> "skipped: " + CpuDevice.whyNoBfloat16());
    List<Foreign> foreign =
        List.of(
            new Foreign(DType.F32, 3L, 20L),
            new Foreign(type, 1L, 13L, 20L),
            new Foreign(type, 1L, 13L, 20L),
            new Foreign(type, 1L, 20L, 13L),
            new Foreign(DType.F32, 2L, 20L));
    try (CpuDevice device = new CpuDevice(0, 2, type)) {
      SplittableRandom random = new SplittableRandom(3);
      List<Tensor> mapped = new ArrayList<>();
      List<Tensor> own = new ArrayList<>();
      for (Foreign one : foreign) {
        Tensor seen = device.mapped(one);
        Tensor copy =
            device.allocate(
                "copy", one.type(), one.shape().stream().mapToLong(length -> length).toArray());
        assertThat(seen.type()).isEqualTo(one.type());
        float[] values = floats(random, (int) seen.elements());
        write(device, seen, values);
        write(device, copy, values);
        mapped.add(seen);
        own.add(copy);
      }

      experts(device, mapped);
      experts(device, own);
      float[] found = device.readFloats(own.get(4));
      assertThat(device.readFloats(mapped.get(4))).isEqualTo(found);
      FloatPointer there = new FloatPointer(foreign.get(4).memory());
      for (int i = 0; i < found.length; i++) {
        assertThat(there.get(i)).isEqualTo(found[i]);
      }
    } finally {
      foreign.forEach(one -> Pointer.free(one.memory()));
    }
  }

  /** The expert over rows 2 and 0: x, gate, up, down, results. */
  private static void experts(CpuDevice device, List<Tensor> tensors) {
    Tensor order = device.allocate("order", DType.I32, 2);
    Tensor offsets = device.allocate("offsets", DType.I32, 2);
    device.write(order, 2, 0);
    device.write(offsets, 0, 2);
    device.experts(
        new ExpertWeights.Swiglu(tensors.get(1), tensors.get(2), tensors.get(3)),
        new ExpertGroups(order, device.allocate("place", DType.I32, 1, 1), offsets),
        tensors.get(0),
        device.allocate("inner", DType.F32, 2, 26),
        tensors.get(4));
  }

  private static void write(CpuDevice device, Tensor into, float[] values) {
    Tensor same = device.allocate("values", DType.F32, into.size(0), into.width());
    Tensor index = device.allocate("index", DType.I32, into.size(0));
    device.write(same, values);
    device.write(index, IntStream.range(0, (int) into.size(0)).toArray());
    device.gatherRows(same, index, device.reshape(into, into.size(0), into.width()));
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
