package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.Matrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Routing beside choices that are written out, token by token. */
class RoutingTest {
  private static final DoubleDevice CPU = DoubleDevice.INSTANCE;

  /** A token's expert, its weight. */
  private record Choice(int token, int expert, double weight) {}

  /** Choices in order of tokens, falling logits. */
  private static List<Choice> choices(Matrix logits, int topK, boolean renormalizes) {
    double[] all = logits.toHost();
    int experts = logits.columns();
    List<Choice> choices = new ArrayList<>();
    for (int token = 0; token < logits.rows(); token++) {
      double[] exponentials =
          Arrays.stream(all, token * experts, (token + 1) * experts).map(Math::exp).toArray();
      int[] chosen =
          IntStream.range(0, experts)
              .boxed()
              .sorted(Comparator.comparingDouble(expert -> -exponentials[expert]))
              .limit(topK)
              .mapToInt(expert -> expert)
              .toArray();
      double sum =
          renormalizes
              ? Arrays.stream(chosen).mapToDouble(expert -> exponentials[expert]).sum()
              : Arrays.stream(exponentials).sum();
      for (int expert : chosen) {
        choices.add(new Choice(token, expert, exponentials[expert] / sum));
      }
    }

    return choices;
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void everyExpertGetsTheRowsOfItsTokens(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = 1 + random.nextInt(9);
    int topK = 1 + random.nextInt(Math.min(3, experts));
    int tokens = random.nextInt(seed % 10 == 0 ? 2000 : 30);
    boolean renormalizes = random.nextBoolean();
    int columns = 3;
    Matrix logits =
        CPU.of(tokens, experts, random.doubles((long) tokens * experts, -2, 2).toArray());
    Matrix x = CPU.of(tokens, columns, random.doubles((long) tokens * columns).toArray());
    List<Choice> choices = choices(logits, topK, renormalizes);
    Routing routing = Routing.of(logits, topK, renormalizes);
    ExpertTokens unweighted = routing.tokens(CPU);
    if (random.nextBoolean()) {
      routing.beginWeighing(); // else by the first who asks
    }

    ExpertTokens weighted = routing.weightedTokens(CPU);
    List<Integer> all = IntStream.range(0, experts).boxed().toList();
    int[] tokensOfAll = new int[choices.size()];
    int at = 0;
    for (int expert : all) {
      List<Choice> own = choices.stream().filter(choice -> choice.expert == expert).toList();
      int[] rows = own.stream().mapToInt(Choice::token).toArray();
      System.arraycopy(rows, 0, tokensOfAll, at, rows.length);
      at += rows.length;
      double[] weights = own.stream().mapToDouble(Choice::weight).toArray();
      assertThat(routing.counts()[expert]).isEqualTo(own.size());
      assertThat(routing.tokens(List.of(expert))).isEqualTo(rows);
      agree(unweighted.rows(expert, x), x.gather(rows));
      agree(weighted.rows(expert, x), x.gather(rows));
      agree(weighted.weighted(expert, x, true), x.gather(rows, weights));
      agree(routing.outputGradient(List.of(expert), x), x.gather(rows, weights));
    }

    assertThat(routing.tokens(all)).isEqualTo(tokensOfAll);
    Routing.Rows together = routing.rows();
    together.put(all, x.gather(tokensOfAll));
    double[] sums = new double[tokens];
    choices.forEach(choice -> sums[choice.token] += choice.weight);
    agree(
        routing.combine(together, columns, CPU),
        x.gather(IntStream.range(0, tokens).toArray(), sums));
    Arrays.fill(sums, topK);
    agree(
        routing.sum(together, columns, CPU), x.gather(IntStream.range(0, tokens).toArray(), sums));
  }

  private static void agree(Matrix found, Matrix expected) {
    assertThat(found.rows()).isEqualTo(expected.rows());
    double[] is = found.toHost();
    double[] numbers = expected.toHost();
    for (int i = 0; i < numbers.length; i++) {
      assertThat(is[i]).isCloseTo(numbers[i], within(1e-12));
    }
  }
}
