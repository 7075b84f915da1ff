package io.expertatlas.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.DeviceContract;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.RandomValues;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.runtime.cuda.CudaDevice.Precision;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What every device must do, in F32; beside it BF16, sizes that take other kernels, memory and
 * copies. Skipped where there is no GPU.
 */
class CudaDeviceTest extends DeviceContract {
  private static CpuDevice cpu;
  private static CudaDevice exact;
  private static CudaDevice half;

  /** One for all tests: opening a GPU takes long. */
  @Override
  protected Device open() {
    return exact;
  }

  @Override
  protected void close(Device opened) {
    // the last test's end closes it
  }

  @Override
  protected double tolerance(int terms) {
    return 2e-6 * (1 + terms);
  }

  @BeforeAll
  static void openAll() {
    assumeTrue(CudaDevice.whyNone().isEmpty(), () -> "skipped: " + CudaDevice.whyNone());
    cpu = new CpuDevice(0, 2);
    exact = new CudaDevice(0, 0, Precision.FLOAT32, 4L << 30);
    half = new CudaDevice(1, 0, Precision.BFLOAT16, 8L << 30);
  }

  @AfterAll
  static void closeAll() {
    for (Device device : new Device[] {cpu, exact, half}) {
      if (device != null) {
        device.close();
      }
    }
  }

  private static CudaDevice gpu(Precision precision) {
    return precision == Precision.FLOAT32 ? exact : half;
  }

  /** Relative to the largest value: F32 by other orders of additions, BF16 by its eight bits. */
  private static double allowed(Precision precision) {
    return precision == Precision.FLOAT32 ? 2e-5 : 2e-2;
  }

  /** The same operands on both devices, made of numbers that BF16 holds exactly. */
  private static final class Pair {
    final Device gpu;
    final List<Tensor> ours = new ArrayList<>();
    final List<Tensor> theirs = new ArrayList<>();
    private final SplittableRandom random;

    Pair(Device gpu, long seed) {
      this.gpu = gpu;
      this.random = new SplittableRandom(seed);
    }

    int activations(double scale, long... shape) {
      return floats(gpu.activationType(), scale, shape);
    }

    int weights(double scale, long... shape) {
      return floats(gpu.weightType(), scale, shape);
    }

    int floats(DType type, double scale, long... shape) {
      ours.add(gpu.allocate("test", type, shape));
      theirs.add(cpu.allocate("test", DType.F32, shape));
      int at = ours.size() - 1;
      float[] values = new float[(int) ours.get(at).elements()];
      for (int i = 0; i < values.length; i++) {
        values[i] = Bits.fromBf16(Bits.toBf16((float) ((random.nextDouble() * 2 - 1) * scale)));
      }

      load(gpu, ours.get(at), values);
      load(cpu, theirs.get(at), values);
      return at;
    }

    int ints(int[] values, long... shape) {
      ours.add(gpu.allocate("test", DType.I32, shape));
      theirs.add(cpu.allocate("test", DType.I32, shape));
      int at = ours.size() - 1;
      gpu.write(ours.get(at), values);
      cpu.write(theirs.get(at), values);
      return at;
    }

    int[] random(int count, int bound) {
      return random.ints(count, 0, bound).toArray();
    }

    void both(BiConsumer<Device, List<Tensor>> operation) {
      operation.accept(gpu, ours);
      operation.accept(cpu, theirs);
    }

    void equal(int at, double tolerance) {
      float[] found = gpu.readFloats(ours.get(at));
      float[] expected = cpu.readFloats(theirs.get(at));
      double largest = 1e-30;
      for (float value : expected) {
        largest = Math.max(largest, Math.abs(value));
      }

      for (int i = 0; i < expected.length; i++) {
        assertThat((double) found[i])
            .as("element %d of %s", i, ours.get(at).shape())
            .isCloseTo(expected[i], within(tolerance * largest));
      }
    }

    void equalInts(int at) {
      assertThat(gpu.read(ours.get(at))).isEqualTo(cpu.read(theirs.get(at)));
    }

    private static void load(Device device, Tensor tensor, float[] values) {
      device.load(new Floats(values, tensor.shape()), tensor);
    }
  }

  /** Values from an array. */
  private record Floats(float[] values, List<Long> shape)
      implements io.expertatlas.runtime.TensorData {
    @Override
    public String name() {
      return "test";
    }

    @Override
    public DType type() {
      return DType.F32;
    }

    @Override
    public void read(long first, java.nio.ByteBuffer into) {
      for (int i = (int) first; into.hasRemaining(); i++) {
        into.putFloat(values[i]);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "FLOAT32, 1, 192, 64",
    "FLOAT32, 5, 33, 7",
    "FLOAT32, 17, 200, 515",
    "FLOAT32, 1, 1, 1",
    "BFLOAT16, 1, 192, 64",
    "BFLOAT16, 5, 33, 7",
    "BFLOAT16, 8, 4104, 100",
    "BFLOAT16, 9, 64, 515",
    "BFLOAT16, 100, 256, 130",
    "BFLOAT16, 1, 8, 1"
  })
  void linearOfSizes(Precision precision, int rows, int inputs, int outputs) {
    Pair p = new Pair(gpu(precision), 1);
    int x = p.activations(1, rows, inputs);
    int w = p.weights(1, outputs, inputs);
    int router = p.floats(DType.F32, 1, outputs, inputs);
    int bias = p.floats(DType.F32, 1, outputs);
    int y = p.activations(1, rows, outputs);
    int z = p.floats(DType.F32, 1, rows, outputs);
    int s = p.activations(1, rows, outputs);
    int logits = p.floats(DType.F32, 1, rows, outputs);
    p.both(
        (device, t) -> {
          device.linear(t.get(x), t.get(w), t.get(y));
          device.linear(t.get(x), t.get(w), t.get(bias), t.get(z));
          device.linearAdd(t.get(x), t.get(w), t.get(bias), t.get(s));
          device.linear(t.get(x), t.get(router), t.get(logits));
        });
    p.equal(y, allowed(precision));
    p.equal(z, 2e-5);
    p.equal(s, allowed(precision));
    p.equal(logits, 2e-5);
  }

  @ParameterizedTest
  @EnumSource(Precision.class)
  void aRowsResultIsTheSameWhateverElseIsInTheBatch(Precision precision) {
    Pair p = new Pair(gpu(precision), 2);
    int x = p.activations(1, 8, 264);
    int w = p.weights(1, 70, 264);
    int all = p.floats(DType.F32, 0, 8, 70);
    int one = p.floats(DType.F32, 0, 1, 70);
    Device device = p.gpu;
    device.linear(p.ours.get(x), p.ours.get(w), p.ours.get(all));
    for (int row = 0; row < 8; row++) {
      device.linear(device.rows(p.ours.get(x), row, 1), p.ours.get(w), p.ours.get(one));
      assertThat(device.readFloats(p.ours.get(one)))
          .isEqualTo(device.readFloats(device.rows(p.ours.get(all), row, 1)));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "FLOAT32, 3, 192",
    "FLOAT32, 1, 1",
    "FLOAT32, 7, 1033",
    "BFLOAT16, 3, 192",
    "BFLOAT16, 4, 33"
  })
  void normsOfWidth(Precision precision, int rows, int width) {
    Pair p = new Pair(gpu(precision), 3);
    int x = p.activations(3, rows, width);
    int large = p.floats(DType.F32, 1e15, rows, width);
    int weight = p.floats(DType.F32, 1, width);
    int bias = p.floats(DType.F32, 1, width);
    int a = p.activations(0, rows, width);
    int b = p.floats(DType.F32, 0, rows, width);
    int c = p.floats(DType.F32, 0, rows, width);
    p.both(
        (device, t) -> {
          device.rmsNorm(t.get(x), t.get(weight), 1e-5, t.get(a));
          device.layerNorm(t.get(x), t.get(weight), t.get(bias), 1e-5, t.get(b));
          device.rmsNorm(t.get(large), t.get(weight), 1e-5, t.get(c));
        });
    p.equal(a, allowed(precision));
    p.equal(b, 2e-5);
    p.equal(c, 2e-5);
  }

  @ParameterizedTest
  @EnumSource(Precision.class)
  void rowsOfWidth(Precision precision) {
    for (int width : new int[] {1, 3, 8, 33, 192}) {
      Pair p = new Pair(gpu(precision), 4);
      int table = p.weights(1, 9, width);
      int positions = p.floats(DType.F32, 1, 9, width);
      int ids = p.ints(p.random(5, 9), 5);
      int out = p.activations(0, 5, width);
      int gathered = p.activations(1, 5, width);
      int in = p.activations(1, 9, width);
      int sums = p.activations(1, 9, width);
      int bias = p.floats(DType.F32, 1, width);
      p.both(
          (device, t) -> {
            device.embed(t.get(ids), t.get(table), 11.3f, t.get(out));
            device.addRows(t.get(positions), t.get(ids), t.get(out));
            device.gatherRows(t.get(in), t.get(ids), t.get(gathered));
            device.scatterAdd(t.get(gathered), t.get(ids), t.get(sums));
            device.add(t.get(out), t.get(gathered));
            device.addBias(t.get(bias), t.get(gathered));
            device.relu(t.get(gathered));
          });
      for (int at : new int[] {out, gathered, sums}) {
        p.equal(at, allowed(precision));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "FLOAT32, 6, 2, 32", "FLOAT32, 4, 4, 20", "FLOAT32, 8, 1, 128", "FLOAT32, 1, 1, 256",
    "BFLOAT16, 6, 2, 32", "BFLOAT16, 8, 2, 128", "BFLOAT16, 16, 2, 64", "BFLOAT16, 4, 4, 20",
    "BFLOAT16, 9, 1, 128"
  })
  void attentionOfHeads(Precision precision, int heads, int keyHeads, int size) {
    for (int[] runs : new int[][] {{1}, {1, 1, 1}, {7, 1, 40}, {130, 70, 3}}) {
      for (boolean causal : new boolean[] {true, false}) {
        attention(precision, heads, keyHeads, size, runs, causal);
      }
    }
  }

  private static void attention(
      Precision precision, int heads, int keyHeads, int size, int[] runs, boolean causal) {
    Pair p = new Pair(gpu(precision), 5);
    int before = causal ? 3 : 0; // earlier positions that are in the cache already
    int rows = 0;
    int longest = 0;
    for (int run : runs) {
      rows += run;
      longest = Math.max(longest, run);
    }

    int[] slots = new int[rows];
    int[] positions = new int[rows];
    int[] visible = new int[rows];
    int[] starts = new int[runs.length + 1];
    int row = 0;
    for (int r = 0; r < runs.length; r++) {
      starts[r] = row;
      for (int i = 0; i < runs[r]; i++) {
        slots[row] = runs.length - 1 - r;
        positions[row] = before + i;
        visible[row] = causal ? before + i + 1 : runs[r];
        row++;
      }
    }

    starts[runs.length] = rows;
    int capacity = longest + before + 5;
    int q = p.activations(1, rows, (long) heads * size);
    int k = p.activations(1, rows, (long) keyHeads * size);
    int v = p.activations(1, rows, (long) keyHeads * size);
    int keys = p.activations(1, runs.length, capacity, (long) keyHeads * size);
    int values = p.activations(1, runs.length, capacity, (long) keyHeads * size);
    int slot = p.ints(slots, rows);
    int position = p.ints(positions, rows);
    int sees = p.ints(visible, rows);
    int start = p.ints(starts, runs.length + 1);
    int frequency = p.floats(DType.F32, 1, size / 2);
    int out = p.activations(1, rows, (long) heads * size);
    int most = longest;
    int count = rows;
    p.both(
        (device, t) -> {
          device.rotary(t.get(q), t.get(frequency), t.get(position));
          device.rotary(t.get(k), t.get(frequency), t.get(position));
          device.append(t.get(k), t.get(slot), t.get(position), t.get(keys));
          device.append(t.get(v), t.get(slot), t.get(position), t.get(values));
          Batch batch =
              new Batch(
                  count,
                  runs.length,
                  most,
                  most + before,
                  t.get(slot),
                  t.get(position),
                  t.get(sees),
                  t.get(start));
          device.attention(
              t.get(q),
              t.get(keys),
              t.get(values),
              batch,
              size,
              (float) (1 / Math.sqrt(size)),
              t.get(out));
        });
    p.equal(q, allowed(precision));
    p.equal(keys, allowed(precision));
    p.equal(out, precision == Precision.FLOAT32 ? 2e-5 : 3e-2);
  }

  @ParameterizedTest
  @CsvSource({
    "FLOAT32, 1, 8, 2, 192, 64, false, 8", "FLOAT32, 9, 5, 2, 72, 40, true, 5",
    "FLOAT32, 7, 3, 1, 33, 17, false, 2", "FLOAT32, 700, 300, 8, 16, 8, false, 300",
    "BFLOAT16, 1, 8, 2, 192, 64, false, 8", "BFLOAT16, 40, 3, 2, 264, 136, false, 3",
    "BFLOAT16, 40, 3, 2, 264, 136, true, 3", "BFLOAT16, 7, 3, 1, 33, 17, true, 3",
    "BFLOAT16, 300, 4, 2, 128, 72, false, 4", "BFLOAT16, 300, 4, 2, 128, 72, true, 4",
    "BFLOAT16, 60, 6, 2, 128, 72, false, 2"
  })
  void expertsOfSizes(
      Precision precision,
      int rows,
      int experts,
      int k,
      int hidden,
      int inner,
      boolean relu,
      int here) {
    Pair p = new Pair(gpu(precision), 6);
    int x = p.activations(1, rows, hidden);
    int logits = p.floats(DType.F32, 2, rows, experts);
    int chosen = p.ints(new int[0], rows, k);
    int factors = p.floats(DType.F32, 0, rows, k);
    int[] locals = new int[experts];
    for (int e = 0; e < experts; e++) {
      locals[e] = e < here ? here - 1 - e : -1;
    }

    int local = p.ints(locals, experts);
    int order = p.ints(new int[0], (long) rows * k);
    int place = p.ints(new int[0], rows, k);
    int offsets = p.ints(new int[0], here + 1);
    double scale = 1 / Math.sqrt(hidden);
    int gate = p.weights(scale, here, inner, hidden);
    int up = p.weights(scale, here, inner, hidden);
    int down = p.weights(1 / Math.sqrt(inner), here, hidden, inner);
    int upBias = p.floats(DType.F32, 1, here, inner);
    int downBias = p.floats(DType.F32, 1, here, hidden);
    int scratch = p.activations(0, (long) rows * k, relu ? inner : 2L * inner);
    int results = p.activations(0, (long) rows * k, hidden);
    int out = p.activations(1, rows, hidden);
    p.both(
        (device, t) -> {
          device.route(t.get(logits), true, t.get(chosen), t.get(factors));
          ExpertGroups groups = new ExpertGroups(t.get(order), t.get(place), t.get(offsets));
          device.groupByExpert(t.get(chosen), t.get(local), groups);
          ExpertWeights weights =
              relu
                  ? new ExpertWeights.Relu(t.get(gate), t.get(upBias), t.get(down), t.get(downBias))
                  : new ExpertWeights.Swiglu(t.get(gate), t.get(up), t.get(down));
          device.experts(weights, groups, t.get(x), t.get(scratch), t.get(results));
          device.combine(t.get(results), groups, t.get(factors), t.get(out));
        });
    p.equalInts(chosen);
    p.equal(factors, 2e-5);
    p.equalInts(offsets);
    p.equalInts(place);
    p.equal(out, allowed(precision));
  }

  @ParameterizedTest
  @CsvSource({"1, 6, 2, 32, 192, 8, 2", "3, 4, 4, 20, 33, 70, 4", "32, 32, 8, 128, 4096, 8, 2"})
  void fusedOperationsWithAResidualStreamInFloat32(
      int rows, int heads, int keyHeads, int size, int hidden, int experts, int k) {
    Pair p = new Pair(half, 11);
    int[] each = IntStream.range(0, rows).toArray();
    int x = p.floats(DType.F32, 1, rows, hidden);
    int norm = p.floats(DType.F32, 1, hidden);
    int router = p.floats(DType.F32, 1, experts, hidden);
    int normed = p.activations(0, rows, hidden);
    int logits = p.floats(DType.F32, 0, rows, experts);
    int chosen = p.ints(new int[0], rows, k);
    int factors = p.floats(DType.F32, 0, rows, k);
    int results = p.activations(1, (long) rows * k, hidden);
    int place = p.ints(p.random(rows * k, rows * k), rows, k);
    int qkv = p.weights(1 / Math.sqrt(hidden), (heads + 2L * keyHeads) * size, hidden);
    int frequency = p.floats(DType.F32, 1, size / 2);
    int slots = p.ints(each, rows);
    int positions = p.ints(p.random(rows, 9), rows);
    int scratch = p.activations(0, rows, (heads + 2L * keyHeads) * size);
    int q = p.activations(0, rows, (long) heads * size);
    int keys = p.activations(1, rows, 9, (long) keyHeads * size);
    int values = p.activations(1, rows, 9, (long) keyHeads * size);
    p.both(
        (device, t) -> {
          device.normAndRoute(
              t.get(x),
              t.get(norm),
              1e-5,
              t.get(router),
              true,
              t.get(normed),
              t.get(logits),
              t.get(chosen),
              t.get(factors));
          device.queriesKeysValues(
              t.get(normed),
              t.get(qkv),
              t.get(frequency),
              new Batch(
                  rows, rows, 1, 9, t.get(slots), t.get(positions), t.get(positions), t.get(slots)),
              t.get(scratch),
              t.get(q),
              t.get(keys),
              t.get(values));
        });
    p.equal(normed, 2e-2);
    p.equal(logits, 2e-2);
    p.equal(q, 3e-2);
    p.equal(keys, 3e-2);
    p.equal(values, 3e-2);
    cpu.write(p.theirs.get(factors), half.readFloats(p.ours.get(factors)));
    p.both(
        (device, t) -> {
          ExpertGroups groups = new ExpertGroups(t.get(place), t.get(place), t.get(place));
          device.combineAndNorm(
              t.get(results), groups, t.get(factors), t.get(x), t.get(norm), 1e-5, t.get(normed));
        });
    p.equal(x, 2e-5);
    p.equal(normed, 2e-2);
  }

  @Test
  void equalLogitsGoToTheLowerExpertAndToken() {
    Pair p = new Pair(exact, 7);
    int logits = p.floats(DType.F32, 0, 3, 70);
    int chosen = p.ints(new int[0], 3, 4);
    int factors = p.floats(DType.F32, 0, 3, 4);
    int ids = p.ints(new int[0], 3);
    p.both(
        (device, t) -> {
          device.route(t.get(logits), false, t.get(chosen), t.get(factors));
          device.argmax(t.get(logits), t.get(ids));
        });
    p.equalInts(chosen);
    p.equal(factors, 2e-5);
    assertThat(exact.read(p.ours.get(ids))).containsExactly(0, 0, 0);
  }

  @Test
  void samplingFromManyTokensDrawsTheSame() {
    for (double topP : new double[] {0.01, 0.5, 0.9, 1}) {
      Pair p = new Pair(exact, 8);
      int logits = p.floats(DType.F32, 6, 20, 4096);
      int uniform = p.floats(DType.F32, 0, 20);
      int ids = p.ints(new int[0], 20);
      float[] draws = new float[20];
      SplittableRandom random = new SplittableRandom(9);
      for (int i = 0; i < draws.length; i++) {
        draws[i] = (float) random.nextDouble(0.001, 0.999);
      }

      p.both(
          (device, t) -> {
            device.write(t.get(uniform), draws);
            device.sample(t.get(logits), 0.8f, (float) topP, t.get(uniform), t.get(ids));
          });
      int same = 0;
      int[] found = exact.read(p.ours.get(ids));
      int[] expected = cpu.read(p.theirs.get(ids));
      for (int i = 0; i < found.length; i++) {
        same += found[i] == expected[i] ? 1 : 0;
      }

      // A draw at the border of two tokens may fall to either side by rounding.
      assertThat(same).as("top-p %s", topP).isGreaterThanOrEqualTo(19);
    }
  }

  @Test
  void seededValuesAreThoseOfTheHost() {
    Tensor tensor = exact.allocate("test", DType.F32, 1001);
    Tensor halves = half.allocate("test", DType.BF16, 1001);
    Tensor expected = cpu.allocate("test", DType.F32, 1001);
    RandomValues values = new RandomValues("test", List.of(1001L), 42, -3, 7);
    exact.load(values, tensor);
    half.load(values, halves);
    cpu.load(values, expected);
    assertThat(exact.readFloats(tensor)).isEqualTo(cpu.readFloats(expected));
    assertThat(half.readFloats(halves)).isEqualTo(cpu.readFloats(expected));
  }

  @Test
  void aRepeatableStepDoesTheSameAgain() {
    Pair p = new Pair(half, 10);
    int x = p.activations(1, 2, 64);
    int w = p.weights(0.1, 64, 64);
    int y = p.floats(DType.F32, 0, 2, 64);
    Device device = p.gpu;
    Runnable again =
        device.repeatable(() -> device.linearAdd(p.ours.get(x), p.ours.get(w), p.ours.get(y)));
    float[] once = device.readFloats(p.ours.get(y));
    again.run();
    again.run();
    float[] thrice = device.readFloats(p.ours.get(y));
    for (int i = 0; i < once.length; i++) {
      assertThat(thrice[i]).isCloseTo(3 * once[i], within(1e-4f));
    }
  }

  @Test
  void whatDoesNotFitIsRefusedWithTheNumbers() {
    try (CudaDevice small = new CudaDevice(0, 0, Precision.FLOAT32, 64 << 20)) {
      assertThatThrownBy(() -> small.allocate("key cache", DType.F32, 1 << 20, 16))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "Cannot hold key cache [1048576, 16] on cuda:0 (rank 0): 67108864 bytes, 33554432 of"
                  + " its 67108864 are left");
    }
  }

  @Test
  void copiesBetweenDevicesWaitForBoth() {
    try (CudaDevice other = new CudaDevice(2, CudaDevice.count() - 1, Precision.FLOAT32, 1 << 28)) {
      Tensor from = exact.allocate("test", DType.F32, 1000);
      Tensor into = other.allocate("test", DType.F32, 1000);
      exact.write(from, 1f, 2f, 3f);
      exact.add(from, from);
      other.receive(exact, from, into);
      exact.add(from, from);
      assertThat(other.readFloats(other.rows(into, 0, 3))).containsExactly(2f, 4f, 6f);
      assertThat(exact.readFloats(exact.rows(from, 0, 3))).containsExactly(4f, 8f, 12f);
    }
  }
}
