package io.expertatlas.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.cpu.CpuDevice;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What every device must do: as {@link ReferenceDevice} does, on odd sizes and extreme values. */
public abstract class DeviceContract {
  private final Device reference = new ReferenceDevice();
  private Device device;

  /** The device to test. */
  protected abstract Device open();

  /** Largest allowed difference for numbers of size 1 summed over so many terms. */
  protected abstract double tolerance(int terms);

  @BeforeEach
  void start() {
    device = open();
  }

  @AfterEach
  void stop() {
    close(device);
  }

  /** Closes what {@link #open} gave. */
  protected void close(Device opened) {
    opened.close();
  }

  /** The same values on both devices. */
  private record Pair(Tensor real, Tensor expected) {}

  private Pair floats(SplittableRandom random, double size, long... shape) {
    Pair pair = empty(DType.F32, shape);
    float[] values = new float[(int) pair.real().elements()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (size * (random.nextDouble() * 2 - 1));
    }

    device.write(pair.real(), values);
    reference.write(pair.expected(), values);
    return pair;
  }

  /** Weights, of the device's type, which holds them exactly. */
  private Pair weights(SplittableRandom random, double size, long... shape) {
    Pair pair =
        new Pair(
            device.allocate("test", device.weightType(), shape),
            reference.allocate("test", DType.F32, shape));
    float[] values = new float[(int) pair.real().elements()];
    for (int i = 0; i < values.length; i++) {
      float value = (float) (size * (random.nextDouble() * 2 - 1));
      values[i] =
          device.weightType() == DType.BF16
              ? Float.intBitsToFloat(Float.floatToIntBits(value) & 0xffff0000)
              : value;
    }

    device.load(new Values(values, pair.real().shape()), pair.real());
    reference.write(pair.expected(), values);
    return pair;
  }

  /** F32 values from an array. */
  private record Values(float[] values, List<Long> shape) implements TensorData {
    @Override
    public String name() {
      return "test";
    }

    @Override
    public DType type() {
      return DType.F32;
    }

    @Override
    public void read(long firstElement, ByteBuffer into) {
      for (int i = (int) firstElement; into.hasRemaining(); i++) {
        into.putFloat(values[i]);
      }
    }
  }

  private Pair ints(int[] values, long... shape) {
    Pair pair = empty(DType.I32, shape);
    device.write(pair.real(), values);
    reference.write(pair.expected(), values);
    return pair;
  }

  private Pair empty(DType type, long... shape) {
    return new Pair(device.allocate("test", type, shape), reference.allocate("test", type, shape));
  }

  private static int[] random(SplittableRandom random, int count, int bound) {
    return random.ints(count, 0, bound).toArray();
  }

  /** Does the same on both devices and compares. */
  private void same(Pair out, int terms, BiConsumer<Device, Boolean> work) {
    work.accept(device, true);
    work.accept(reference, false);
    compare(out, terms);
  }

  private void compare(Pair out, int terms) {
    if (out.real().type() == DType.I32) {
      assertThat(device.read(out.real())).isEqualTo(reference.read(out.expected()));
      return;
    }

    float[] found = device.readFloats(out.real());
    float[] expected = reference.readFloats(out.expected());
    for (int i = 0; i < found.length; i++) {
      double allowed = tolerance(terms) * Math.max(1, Math.abs(expected[i]));
      assertThat((double) found[i])
          .as("element %d", i)
          .isBetween(expected[i] - allowed, expected[i] + allowed);
    }
  }

  private static Tensor of(Pair pair, boolean real) {
    return real ? pair.real() : pair.expected();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void rows(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int t = random.nextInt(0, 9);
    int width = random.nextInt(1, 70);
    int many = random.nextInt(1, 20);
    Pair table = floats(random, 3, many, width);
    Pair ids = ints(random(random, t, many), t);
    Pair out = floats(random, 1, t, width);
    same(out, 1, (d, real) -> d.embed(of(ids, real), of(table, real), 1.5f, of(out, real)));
    Pair held = weights(random, 3, many, width);
    same(out, 1, (d, real) -> d.embed(of(ids, real), of(held, real), 1.5f, of(out, real)));
    same(out, 1, (d, real) -> d.addRows(of(table, real), of(ids, real), of(out, real)));
    same(out, 1, (d, real) -> d.add(of(out, real), of(out, real)));
    Pair bias = floats(random, 1, width);
    same(out, 1, (d, real) -> d.addBias(of(bias, real), of(out, real)));
    same(out, 1, (d, real) -> d.relu(of(out, real)));
    same(table, t + 1, (d, real) -> d.scatterAdd(of(out, real), of(ids, real), of(table, real)));
    same(out, t + 1, (d, real) -> d.gatherRows(of(table, real), of(ids, real), of(out, real)));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void norms(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int t = random.nextInt(1, 6);
    int width = random.nextInt(2, 300);
    double size = Math.pow(10, random.nextInt(-4, 6));
    Pair x = floats(random, size, t, width);
    Pair weight = floats(random, 1, width);
    Pair bias = floats(random, 1, width);
    Pair out = empty(DType.F32, t, width);
    same(out, 8, (d, real) -> d.rmsNorm(of(x, real), of(weight, real), 1e-5, of(out, real)));
    same(
        out,
        8,
        (d, real) ->
            d.layerNorm(of(x, real), of(weight, real), of(bias, real), 1e-5, of(out, real)));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void products(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int t = random.nextInt(0, 40);
    int in = random.nextInt(1, 130);
    int outs = random.nextInt(1, 90);
    Pair x = floats(random, 1, t, in);
    Pair weight = weights(random, 1, outs, in);
    Pair bias = floats(random, 1, outs);
    Pair out = empty(DType.F32, t, outs);
    same(out, in, (d, real) -> d.linear(of(x, real), of(weight, real), of(out, real)));
    same(out, in, (d, real) -> d.linearAdd(of(x, real), of(weight, real), of(out, real)));
    same(
        out,
        in,
        (d, real) -> d.linear(of(x, real), of(weight, real), of(bias, real), of(out, real)));
    same(
        out,
        in,
        (d, real) -> d.linearAdd(of(x, real), of(weight, real), of(bias, real), of(out, real)));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void attentionOverCaches(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int half = random.nextInt(1, 9);
    int keyHeads = random.nextInt(1, 4);
    int heads = keyHeads * random.nextInt(1, 4);
    int slotCount = random.nextInt(1, 5);
    int capacity = random.nextInt(1, 30);
    boolean causal = random.nextBoolean();
    double size = random.nextInt(5) == 0 ? 30 : 1; // scores of hundreds: softmax must not overflow
    List<int[]> rows = new ArrayList<>(); // slot, position, visible
    List<Integer> starts = new ArrayList<>();
    int longestRun = 0;
    for (int slot = 0; slot < slotCount; slot++) {
      int length = random.nextInt(0, capacity + 1);
      int first = random.nextInt(0, length + 1);
      if (first < length) {
        starts.add(rows.size());
        longestRun = Math.max(longestRun, length - first);
      }

      for (int position = first; position < length; position++) {
        rows.add(new int[] {slot, position, causal ? position + 1 : random.nextInt(length + 1)});
      }
    }

    int t = rows.size();
    starts.add(t);
    Pair slots = ints(rows.stream().mapToInt(row -> row[0]).toArray(), t);
    Pair positions = ints(rows.stream().mapToInt(row -> row[1]).toArray(), t);
    Pair visible = ints(rows.stream().mapToInt(row -> row[2]).toArray(), t);
    Pair runStarts = ints(starts.stream().mapToInt(start -> start).toArray(), starts.size());
    Pair q = floats(random, size, t, heads * 2L * half);
    Pair k = floats(random, size, t, keyHeads * 2L * half);
    Pair keys = floats(random, size, slotCount, capacity, keyHeads * 2L * half);
    Pair values = floats(random, 1, slotCount, capacity, keyHeads * 2L * half);
    Pair frequency = floats(random, 1, half);
    same(
        q,
        40 * capacity,
        (d, real) -> d.rotary(of(q, real), of(frequency, real), of(positions, real)));
    same(
        keys,
        1,
        (d, real) -> d.append(of(k, real), of(slots, real), of(positions, real), of(keys, real)));
    Pair out = floats(random, 1, t, heads * 2L * half);
    int longest = longestRun;
    same(
        out,
        (int) (300 * size),
        (d, real) ->
            d.attention(
                of(q, real),
                of(keys, real),
                of(values, real),
                new Batch(
                    t,
                    starts.size() - 1,
                    longest,
                    capacity,
                    of(slots, real),
                    of(positions, real),
                    of(visible, real),
                    of(runStarts, real)),
                2 * half,
                0.7f,
                of(out, real)));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void routersAndExperts(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int all = random.nextInt(1, 12);
    int k = random.nextInt(1, Math.min(all, 4) + 1);
    int t = random.nextInt(1, 20);
    int hidden = random.nextInt(1, 40);
    int inner = random.nextInt(1, 30);
    boolean renormalize = random.nextBoolean();
    Pair logits = floats(random, random.nextInt(4) == 0 ? 200 : 2, t, all);
    if (random.nextInt(3) == 0) { // ties
      float[] same = new float[t * all];
      device.write(logits.real(), same);
      reference.write(logits.expected(), same);
    }

    Pair chosen = empty(DType.I32, t, k);
    Pair weights = empty(DType.F32, t, k);
    same(
        chosen,
        1,
        (d, real) -> d.route(of(logits, real), renormalize, of(chosen, real), of(weights, real)));
    compare(weights, 8);
    int[] local = new int[all];
    int here = 0;
    for (int e = 0; e < all; e++) {
      local[e] = random.nextInt(4) == 0 ? -1 : here++;
    }

    int[] choices = reference.read(chosen.expected());
    for (int i = 0; i < choices.length; i++) {
      choices[i] = random.nextInt(5) == 0 ? -1 : choices[i];
    }

    device.write(chosen.real(), choices);
    reference.write(chosen.expected(), choices);
    Pair index = ints(local, all);
    Pair order = empty(DType.I32, (long) t * k);
    Pair place = empty(DType.I32, t, k);
    Pair offsets = empty(DType.I32, here + 1);
    ExpertGroups groups = new ExpertGroups(order.real(), place.real(), offsets.real());
    ExpertGroups expected =
        new ExpertGroups(order.expected(), place.expected(), offsets.expected());
    device.groupByExpert(chosen.real(), index.real(), groups);
    reference.groupByExpert(chosen.expected(), index.expected(), expected);
    compare(place, 0);
    compare(offsets, 0);
    Pair x = floats(random, 1, t, hidden);
    Pair gate = weights(random, 1, here, inner, hidden);
    Pair up = weights(random, 1, here, inner, hidden);
    Pair down = weights(random, 1, here, hidden, inner);
    Pair upBias = floats(random, 1, here, inner);
    Pair downBias = floats(random, 1, here, hidden);
    Pair scratch = empty(DType.F32, (long) t * k, 2L * inner);
    Pair results = empty(DType.F32, (long) t * k, hidden);
    Pair out = floats(random, 1, t, hidden);
    for (boolean swiglu : new boolean[] {true, false}) {
      same(
          out,
          hidden * inner,
          (d, real) -> {
            ExpertGroups own = real ? groups : expected;
            ExpertWeights ffn =
                swiglu
                    ? new ExpertWeights.Swiglu(of(gate, real), of(up, real), of(down, real))
                    : new ExpertWeights.Relu(
                        of(up, real), of(upBias, real), of(down, real), of(downBias, real));
            d.experts(ffn, own, of(x, real), of(scratch, real), of(results, real));
            d.combine(of(results, real), own, of(weights, real), of(out, real));
          });
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void nextTokens(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int t = random.nextInt(1, 5);
    int all = random.nextInt(1, 200);
    Pair logits = floats(random, 3, t, all);
    Pair ids = empty(DType.I32, t);
    same(ids, 0, (d, real) -> d.argmax(of(logits, real), of(ids, real)));
    float[] draws = new float[t];
    for (int i = 0; i < t; i++) {
      draws[i] = random.nextInt(1 << 24) * 0x1p-24f;
    }

    Pair uniform = empty(DType.F32, t);
    device.write(uniform.real(), draws);
    reference.write(uniform.expected(), draws);
    float topP = random.nextInt(3) == 0 ? 1 : (float) random.nextDouble(0.05, 1);
    same(
        ids,
        0,
        (d, real) -> d.sample(of(logits, real), 0.8f, topP, of(uniform, real), of(ids, real)));
  }

  @Test
  void equallyLikelyTokensAreCutTogetherAndDrawnInOrderOfIds() {
    Tensor logits = device.allocate("logits", DType.F32, 4, 5);
    float[] row = {1, 3, 1, 3, 3}; // 3s: 0.31 each; top-p 0.4 needs two of the three
    float[] all = new float[20];
    for (int t = 0; t < 4; t++) {
      System.arraycopy(row, 0, all, 5 * t, 5);
    }

    device.write(logits, all);
    Tensor uniform = device.allocate("draws", DType.F32, 4);
    device.write(uniform, 0, 0.3f, 0.4f, 0.999f);
    Tensor ids = device.allocate("ids", DType.I32, 4);
    device.sample(logits, 1, 0.4f, uniform, ids);

    assertThat(device.read(ids)).containsExactly(1, 1, 3, 4);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void fusedOperationsAreTheirParts(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int t = random.nextInt(1, 9);
    int hidden = random.nextInt(1, 70);
    int half = random.nextInt(1, 9);
    int keyHeads = random.nextInt(1, 4);
    int heads = keyHeads * random.nextInt(1, 4);
    int capacity = random.nextInt(1, 12);
    long width = keyHeads * 2L * half;
    long all = (heads + 2L * keyHeads) * 2 * half;
    Pair x = floats(random, 1, t, hidden);
    Pair weight = weights(random, 1, all, hidden);
    Pair frequency = floats(random, 1, half);
    Pair slots = ints(IntStream.range(0, t).toArray(), t);
    Pair positions = ints(random(random, t, capacity), t);
    Pair scratch = empty(DType.F32, t, all);
    Pair q = empty(DType.F32, t, heads * 2L * half);
    Pair keys = floats(random, 1, t, capacity, width);
    Pair values = floats(random, 1, t, capacity, width);
    same(
        q,
        40 * capacity * hidden,
        (d, real) ->
            d.queriesKeysValues(
                of(x, real),
                of(weight, real),
                of(frequency, real),
                new Batch(
                    t,
                    t,
                    1,
                    capacity,
                    of(slots, real),
                    of(positions, real),
                    of(positions, real),
                    of(slots, real)),
                of(scratch, real),
                of(q, real),
                of(keys, real),
                of(values, real)));
    compare(keys, 40 * capacity * hidden);
    compare(values, hidden);
    int experts = random.nextInt(1, 12);
    int k = random.nextInt(1, Math.min(experts, 4) + 1);
    Pair norm = floats(random, 1, hidden);
    Pair router = floats(random, 1, experts, hidden);
    Pair normed = empty(DType.F32, t, hidden);
    Pair logits = empty(DType.F32, t, experts);
    Pair chosen = empty(DType.I32, t, k);
    Pair weights = empty(DType.F32, t, k);
    same(
        normed,
        8,
        (d, real) ->
            d.normAndRoute(
                of(x, real),
                of(norm, real),
                1e-5,
                of(router, real),
                true,
                of(normed, real),
                of(logits, real),
                of(chosen, real),
                of(weights, real)));
    compare(logits, 8 * hidden);
    compare(chosen, 0);
    compare(weights, 64 * hidden);
    Pair results = floats(random, 1, (long) t * k, hidden);
    int[] places = random(random, t * k, t * k);
    places[random.nextInt(places.length)] = -1;
    Pair place = ints(places, t, k);
    same(
        x,
        8 * k,
        (d, real) ->
            d.combineAndNorm(
                of(results, real),
                new ExpertGroups(of(place, real), of(place, real), of(place, real)),
                of(weights, real),
                of(x, real),
                of(norm, real),
                1e-5,
                of(normed, real)));
    compare(normed, 64 * k * hidden);
  }

  @Test
  void stepsAreKeptAndCounted() {
    Pair ids = ints(new int[] {7, 8, 9}, 3);
    Pair positions = ints(new int[] {0, 4, 2}, 3);
    Pair visible = ints(new int[] {1, 5, 3}, 3);
    Pair step = ints(new int[] {1}, 1);
    Pair history = empty(DType.I32, 4, 3);
    Pair log = empty(DType.F32, 4, 2);
    Tensor kept = device.allocate("kept", DType.F32, 2);
    device.write(kept, 0.5f, -2);
    device.keep(kept, step.real(), log.real());
    for (int i = 0; i < 2; i++) {
      same(
          history,
          0,
          (d, real) ->
              d.advance(
                  of(ids, real),
                  of(positions, real),
                  of(visible, real),
                  of(history, real),
                  of(step, real)));
    }

    compare(positions, 0);
    compare(visible, 0);
    assertThat(device.read(step.real())).containsExactly(3);
    assertThat(device.read(history.real())).containsExactly(0, 0, 0, 7, 8, 9, 7, 8, 9, 0, 0, 0);
    assertThat(device.readFloats(log.real())).containsExactly(0, 0, 0.5f, -2, 0, 0, 0, 0);
  }

  @Test
  void whatIsRepeatableRunsOnceAndThenAsOftenAsItIsCalled() {
    Tensor one = device.allocate("one", DType.F32, 2);
    Tensor sum = device.allocate("sum", DType.F32, 2);
    device.write(one, 1, 2f);
    Runnable again = device.repeatable(() -> device.add(one, sum));
    again.run();
    again.run();

    assertThat(device.readFloats(sum)).containsExactly(3, 6);
  }

  @Test
  void theFirstOfEqualLogitsWins() {
    Pair logits = empty(DType.F32, 2, 5);
    device.write(logits.real(), 1, 3, 3, 2, 3, -1, -1, -1, -1, -1f);
    Tensor ids = device.allocate("ids", DType.I32, 2);
    device.argmax(logits.real(), ids);

    assertThat(device.read(ids)).containsExactly(1, 0);
  }

  @Test
  void viewsShareTheirElements() {
    Tensor tensor = device.allocate("tensor", DType.F32, 4, 3);
    device.write(device.rows(tensor, 2, 1), 7, 8, 9f);

    assertThat(device.readFloats(device.reshape(tensor, 12)))
        .containsExactly(0, 0, 0, 0, 0, 0, 7, 8, 9, 0, 0, 0);
    assertThatThrownBy(() -> device.reshape(tensor, 5))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid shapes for reshape: [F32 [4, 3], F32 [5]]");
  }

  @Test
  void fetchedTensorsComeBackAsTheyWereStoredAndOperationsAreInOrder() {
    int count = 100_003;
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = i;
    }

    Tensor slot = device.allocate("slot", DType.F32, count);
    Tensor sum = device.allocate("sum", DType.F32, count);
    Tensor kept = device.allocateOnHost("kept", DType.F32, count);
    Tensor doubled = device.allocateOnHost("doubled", DType.F32, count);
    device.write(slot, values);
    device.store(slot, kept);
    device.add(slot, slot);
    device.store(slot, doubled);
    for (int round = 0; round < 5; round++) {
      device.fetch(kept, slot).join();
      device.add(slot, sum);
      device.fetch(doubled, slot).join(); // behind the addition
      device.add(slot, sum);
    }

    float[] found = device.readFloats(sum);
    for (int i = 0; i < count; i++) {
      assertThat(found[i]).isEqualTo(15f * i);
    }
  }

  @Test
  void tensorsOfTheHostAreMappedToTheDeviceAndToTheCpu() {
    int rows = 5;
    int width = 300;
    float[] values = new float[rows * width];
    for (int i = 0; i < values.length; i++) {
      values[i] = i / 8f;
    }

    Tensor x = device.allocate("x", DType.F32, rows, width);
    Tensor back = device.allocate("back", DType.F32, 2, width);
    Tensor index = device.allocate("index", DType.I32, rows);
    Tensor host = device.allocateOnHost("host", DType.F32, rows, width);
    device.write(x, values);
    device.write(index, 4, 3, 2, 1, 0);
    device.gatherRows(x, index, device.mapped(host));
    device.synchronize();
    try (CpuDevice cpu = new CpuDevice(0, 1)) {
      Tensor seen = cpu.mapped(host);
      assertThat(seen.shape()).isEqualTo(host.shape());
      float[] found = cpu.readFloats(seen);
      for (int row = 0; row < rows; row++) {
        for (int i = 0; i < width; i++) {
          assertThat(found[row * width + i]).isEqualTo(values[(4 - row) * width + i]);
        }
      }

      cpu.add(seen, seen);
    }

    Tensor last = device.rows(device.mapped(host), 3, 2);
    device.gatherRows(last, device.rows(index, 3, 2), back);
    float[] doubled = device.readFloats(back);
    assertThat(doubled[0]).isEqualTo(2 * values[0]);
    assertThat(doubled[2 * width - 1]).isEqualTo(2 * values[2 * width - 1]);
  }

  @Test
  void copiesAheadEndInTheirOrderAndCanBeAwaited() {
    int count = 1_000_003;
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = i;
    }

    Tensor first = device.allocate("first", DType.F32, count);
    Tensor second = device.allocate("second", DType.F32, count);
    Tensor kept = device.allocateOnHost("kept", DType.F32, count);
    device.write(first, values);
    device.store(first, kept);
    device.add(first, first);
    device.synchronize();
    assertThat(device.isIdle()).isTrue();
    HostCopy one = device.fetchAhead(kept, second, 7, count - 7);
    device.fetchAhead(kept, first, 0, 3).close();
    HostCopy other = device.fetchAhead(kept, first, 3, count - 3);
    one.join();
    device.add(second, second);
    other.await();

    assertThat(other.isDone()).isTrue();
    assertThat(one.isDone()).isTrue();
    one.close();
    other.close();
    assertThat(device.readFloats(first)).isEqualTo(values);
    float[] doubled = device.readFloats(second);
    assertThat(doubled[count - 1]).isEqualTo(2f * values[count - 1]);
    assertThat(Arrays.copyOf(doubled, 9)).containsExactly(0, 0, 0, 0, 0, 0, 0, 14, 16);
  }

  @Test
  void fewAndManyNumbersAreWrittenAlike() {
    for (int count : new int[] {1, 5, 4096, 4097, 100_003}) {
      Tensor ids = device.allocate("ids", DType.I32, count + 3L);
      Tensor floats = device.allocate("floats", DType.F32, count + 3L);
      int[] numbers = new int[count];
      float[] values = new float[count];
      for (int i = 0; i < count; i++) {
        numbers[i] = i - 7;
        values[i] = i / 8f;
      }

      device.write(device.rows(ids, 2, count), numbers);
      device.write(device.rows(floats, 2, count), values);
      assertThat(Arrays.copyOfRange(device.read(ids), 2, count + 2)).isEqualTo(numbers);
      assertThat(Arrays.copyOfRange(device.readFloats(floats), 2, count + 2)).isEqualTo(values);
      assertThat(device.read(ids)[1]).isZero();
      assertThat(device.read(ids)[count + 2]).isZero();
    }
  }

  @Test
  void shapesThatDoNotFitAreRefused() {
    Tensor x = device.allocate("x", DType.F32, 2, 3);
    Tensor weight = device.allocate("weight", DType.F32, 5, 4);
    Tensor out = device.allocate("out", DType.F32, 2, 5);

    assertThatThrownBy(() -> device.linear(x, weight, out))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid shapes for linear: [F32 [2, 3], F32 [5, 4], F32 [2, 5]]");
  }
}
