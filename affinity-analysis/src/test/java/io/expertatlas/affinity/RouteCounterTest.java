package io.expertatlas.affinity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.ShortBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class RouteCounterTest {
  private static final ModelShape SHAPE = new ModelShape(2, 4, 2);

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void countsAsTheObviousTwin(long seed) {
    RoutingTrace trace = AffinityCases.trace(seed);

    assertThat(AffinityCases.count(trace))
        .isEqualTo(ObviousCounts.of(trace.shape(), List.of(trace)));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void partsMergeToTheWholeInAnyOrder(long seed) throws Exception {
    RoutingTrace trace = AffinityCases.trace(seed);
    SplittableRandom random = new SplittableRandom(seed);
    int parts = 1 + random.nextInt(5);
    // moving int counters to long ones every few tokens must not show
    int spillAt = seed % 2 == 0 ? 1 + random.nextInt(9) : Integer.MAX_VALUE;
    List<RouteCounter> counters = new ArrayList<>();
    for (int part = 0; part < parts; part++) {
      RouteCounter counter = new RouteCounter(trace.shape(), spillAt);
      counter.add(trace.slice(trace.tokens() * part / parts, trace.tokens() * (part + 1) / parts));
      counters.add(seed % 3 == 0 ? sent(counter) : counter);
    }

    while (counters.size() > 1) {
      RouteCounter one = counters.remove(random.nextInt(counters.size()));
      RouteCounter other = counters.remove(random.nextInt(counters.size()));
      counters.add(one.merge(other));
    }

    assertThat(counters.get(0).counts()).isEqualTo(AffinityCases.count(trace));
  }

  @Test
  void bigAndSmallModelsHashTheirSets() {
    ModelShape big = new ModelShape(3, 256, 8);
    RoutingTrace trace = SyntheticTrace.draw(big, 3000, 100, 0.2, 4);

    RouteCounts counts = AffinityCases.count(trace);

    assertThat(counts).isEqualTo(ObviousCounts.of(big, List.of(trace)));
    assertThat(counts.expertSets().get(0)).hasSizeGreaterThan(1000);
  }

  @ParameterizedTest(name = "{0} layers x {1} experts, top-{2}")
  @CsvSource({"3, 64, 6", "2, 64, 5", "2, 65, 4", "2, 300, 9", "2, 40, 30", "1, 70, 30"})
  void setsOfEveryCodeCountAsTheObviousTwin(int layers, int experts, int topK) throws Exception {
    ModelShape shape = new ModelShape(layers, experts, topK);
    RoutingTrace trace = SyntheticTrace.draw(shape, 700, 100, 0.3, 6);
    RouteCounter counter = new RouteCounter(shape);
    counter.add(trace.slice(0, 600)); // more than a block
    RouteCounter other = new RouteCounter(shape);
    other.add(trace.slice(600, 700));

    assertThat(sent(counter).merge(other).counts())
        .isEqualTo(ObviousCounts.of(shape, List.of(trace)));
  }

  @ParameterizedTest(name = "{0} layers x {1} experts, top-{2}")
  @CsvSource({"12, 8, 2", "2, 5, 3", "1, 8, 2", "4, 128, 1", "3, 1, 1", "3, 12, 2"})
  void largeBatchesCountAsTheObviousTwin(int layers, int experts, int topK) throws Exception {
    ModelShape shape = new ModelShape(layers, experts, topK);
    RoutingTrace trace = SyntheticTrace.draw(shape, 20_000, 100, 0.3, 6);
    RouteCounts expected = ObviousCounts.of(shape, List.of(trace));
    RouteCounter whole = new RouteCounter(shape);
    whole.add(trace);
    RouteCounter one = new RouteCounter(shape, 777); // spills between batches and within one
    one.add(trace.slice(0, 17_000));
    RouteCounter other = new RouteCounter(shape, 777);
    other.add(trace.slice(17_000, 17_001));
    other.add(trace.slice(17_001, 20_000));

    assertThat(sent(one).merge(other).counts()).isEqualTo(expected);
    assertThat(whole.counts()).isEqualTo(expected);
    assertThat(whole.counts()).as("once more").isEqualTo(expected);
    whole.add(trace.slice(0, 0));
    whole.add(trace);
    assertThat(whole.counts().tokens()).isEqualTo(40_000);
    assertThat(whole.counts().popularity().choices(0, 0))
        .isEqualTo(2 * expected.popularity().choices(0, 0));
  }

  @Test
  void tokensAddOneByOne() {
    RouteCounter counter = new RouteCounter(SHAPE);
    counter.add(new int[] {3, 1, 0, 2}, new float[] {0.75f, 0.25f, 0.5f, 0.5f});
    counter.add(new int[] {1, 3, 0, 1}, new float[] {1, 0, 1, 0});
    RouteCounts counts = counter.counts();

    assertThat(counts.tokens()).isEqualTo(2);
    assertThat(counts.popularity().choices(0, 3)).isEqualTo(2);
    assertThat(counts.popularity().firstChoices(0, 3)).isEqualTo(1);
    assertThat(counts.transitions().firstChoices(0, 3, 0)).isEqualTo(1);
    assertThat(counts.transitions().pairUnits(0, 3, 0)).isEqualTo(Transitions.UNITS * 3 / 8);
    assertThat(counts.coactivation().tokens(0, 3, 1)).isEqualTo(2);
    assertThat(counts.coactivation().tokens(1, 0, 0)).isEqualTo(2);
    assertThat(counts.expertSets())
        .isEqualTo(
            List.of(
                List.of(new ExpertSet(List.of(1, 3), 2)),
                List.of(new ExpertSet(List.of(0, 1), 1), new ExpertSet(List.of(0, 2), 1))));
  }

  @Test
  void badTokensAreRefused() {
    RouteCounter counter = new RouteCounter(SHAPE);
    float[] none = {};

    assertThatThrownBy(() -> counter.add(new int[] {0, 1, 2, 4}, none))
        .hasMessage("Invalid expert id 4 at layer 1, rank 1: the model has experts 0 to 3");
    assertThatThrownBy(() -> counter.add(new int[] {0, -1, 2, 3}, none))
        .hasMessage("Invalid expert id -1 at layer 0, rank 1: the model has experts 0 to 3");
    assertThatThrownBy(() -> counter.add(new int[] {0, 1, 2, 2}, none))
        .hasMessage("Invalid top-2 at layer 1: expert 2 stands twice");
    assertThatThrownBy(() -> counter.add(new int[3], none))
        .hasMessage("Invalid token: 3 choices and 0 weights, expected 4");
    assertThatThrownBy(() -> counter.add(new int[] {0, 1, 2, 3}, new float[] {1, Float.NaN, 1, 1}))
        .hasMessage("Invalid router weight NaN at layer 0, rank 1: 0 to 256.0");
    assertThatThrownBy(() -> counter.add(new int[] {0, 1, 2, 3}, new float[] {1, 1, -1, 1}))
        .hasMessage("Invalid router weight -1.0 at layer 1, rank 0: 0 to 256.0");
  }

  @ParameterizedTest(name = "{0} layers x {1} experts, top-{2}, token {3} of {4}")
  @CsvSource({
    "3, 8, 2, 0, 5000", // by pairs of layers
    "3, 8, 2, 4999, 5000",
    "3, 8, 2, 7, 9", // layer by layer: too few tokens for pairs
    "2, 64, 6, 513, 1200", // a bit an expert
    "2, 200, 5, 513, 1200", // ids in one word
    "2, 300, 9, 600, 601" // ids in two words
  })
  void aRepeatedExpertAmongManyTokensIsFound(
      int layers, int experts, int topK, int token, int tokens) {
    ModelShape shape = new ModelShape(layers, experts, topK);
    ShortBuffer drawn = SyntheticTrace.draw(shape, tokens, 100, 0.3, 6).experts(0, tokens);
    short[] choices = new short[drawn.remaining()];
    drawn.get(choices);
    int second = token * shape.choicesPerToken() + topK; // first choice of layer 1
    choices[second + 1] = choices[second];
    RouteCounter counter = new RouteCounter(shape);

    assertThatThrownBy(
            () -> {
              counter.add(ShortBuffer.wrap(choices));
              counter.complete();
            })
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid top-%d at layer 1: expert %d stands twice".formatted(topK, choices[second]));
  }

  @Test
  void shapesMustAgree() {
    RouteCounter counter = new RouteCounter(SHAPE);
    ModelShape other = new ModelShape(2, 5, 2);

    assertThatThrownBy(() -> counter.merge(new RouteCounter(other)))
        .hasMessage(
            "Cannot merge the routes of 2 MoE layers x 4 experts, top-2 with those of"
                + " 2 MoE layers x 5 experts, top-2");
    assertThatThrownBy(() -> counter.add(SyntheticTrace.draw(other, 1, 1, 0, 1)))
        .hasMessageContaining("Invalid batch: it is of 2 MoE layers x 5 experts, top-2");
    assertThatThrownBy(() -> new RouteCounter(new ModelShape(2, 65536, 1)))
        .hasMessageContaining("Cannot count the routes of 2 MoE layers x 65536 experts")
        .hasMessageContaining("at most 2147483639");
  }

  @Test
  void brokenBytesAreRefused() {
    RouteCounter counter = new RouteCounter(SHAPE);
    counter.add(SyntheticTrace.draw(SHAPE, 500, 10, 0.5, 1));
    byte[] bytes = counter.toBytes();

    for (int length = 0; length < bytes.length; length++) {
      byte[] cut = Arrays.copyOf(bytes, length);
      assertThatThrownBy(() -> RouteCounter.fromBytes(cut))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Invalid route counter: it ends at byte " + length);
    }
  }

  private static RouteCounter sent(RouteCounter counter) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(counter);
    }

    try (ObjectInputStream in =
        new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      return (RouteCounter) in.readObject();
    }
  }
}
