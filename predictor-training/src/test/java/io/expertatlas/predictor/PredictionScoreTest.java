package io.expertatlas.predictor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class PredictionScoreTest {
  private static final ModelShape FOUR = new ModelShape(2, 4, 2);

  /** Scores whose two greatest are the given experts. */
  private static float[] scores(int first, int second) {
    float[] scores = new float[4];
    scores[first] = 2;
    scores[second] = 1;
    return scores;
  }

  @Test
  void matchesAptMoesPrintsOnItsGoldenCase() {
    PredictionScore score = new PredictionScore(FOUR, 1);
    score.add(0, 1, scores(0, 1), 0, new int[] {0, 3});
    score.add(0, 1, scores(0, 2), 0, new int[] {2, 3});
    score.add(0, 1, scores(1, 3), 0, new int[] {0, 2});
    assertThat(score.endIteration()).containsExactly(2, 2, 1, 1);
    PredictionMetrics metrics = score.metrics(1);
    LayerMetrics all = metrics.overall();
    assertThat(all.matches().stream().map(Estimate::value)).containsExactly(1 / 3.0, 2 / 3.0, 0.0);
    assertThat(all.expectation()).isEqualTo(2 / 3.0);
    assertThat(metrics.recallAtK().value()).isEqualTo(1 / 3.0);
    assertThat(all.least()).containsExactly(0, 0.5, 1, 1);
    assertThat(metrics.leastCount()).isEqualTo(1);
    // predicted order 0 1 2 3, real order 0 2 3 1: expert 3 is not the last, but one of the last
    // two
    assertThat(all.leastWithin()).containsExactly(0, 1, 1, 1);
    assertThat(all.totalVariation().value()).isEqualTo(1 / 3.0, within(1e-12));
    assertThat(all.missed(0)).isEqualTo(4 / 3.0, within(1e-12));
    assertThat(all.overFetched(0, 2)).isEqualTo(4 / 3.0, within(1e-12));
  }

  @Test
  void tiesGoToTheLowerId() {
    PredictionScore score = new PredictionScore(FOUR, 1);
    score.add(0, 1, new float[4], 0, new int[] {1, 0});
    score.add(0, 1, new float[4], 0, new int[] {2, 3});
    assertThat(score.metrics(1).overall().matches().stream().map(Estimate::value))
        .containsExactly(0.5, 0.0, 0.5);
  }

  @Test
  void oneExpertIsAlwaysRight() {
    PredictionScore score = new PredictionScore(new ModelShape(2, 1, 1), 1);
    score.add(7, 1, new float[] {-3}, 0, new int[] {0});
    score.endIteration();
    PredictionMetrics metrics = score.metrics(1);
    assertThat(metrics.caches()).containsExactly(1);
    assertThat(metrics.recallAtK()).isEqualTo(new Estimate(1, 1, 1));
    assertThat(metrics.overall().totalVariation().value()).isZero();
  }

  @Test
  void nothingScoredIsNotANumber() {
    PredictionMetrics metrics = new PredictionScore(FOUR, 1).metrics(1);
    assertThat(metrics.recallAtK().value()).isNaN();
    assertThat(metrics.recallAtK().low()).isNaN();
    assertThat(metrics.iterations()).isZero();
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void countsAsSortingDoes(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = 1 + random.nextInt(12);
    ModelShape shape = new ModelShape(2 + random.nextInt(3), experts, 1 + random.nextInt(experts));
    PredictionScore score = new PredictionScore(shape, 1);
    int hits = 0;
    int exact = 0;
    int pairs = 0;
    double variation = 0;
    long[][] predicted = new long[shape.layers()][experts];
    long[][] real = new long[shape.layers()][experts];
    for (int token = 0; token < 30; token++) {
      for (int target = 1; target < shape.layers(); target++) {
        float[] scores = new float[experts];
        for (int i = 0; i < experts; i++) {
          scores[i] = random.nextInt(4); // ties on purpose
        }

        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < experts; i++) {
          order.add(i);
        }

        List<Integer> drawn = new ArrayList<>(order);
        Collections.shuffle(drawn, new Random(random.nextLong()));
        int[] chosen = drawn.stream().limit(shape.topK()).mapToInt(i -> i).toArray();
        order.sort((a, b) -> Float.compare(scores[b], scores[a])); // stable
        List<Integer> top = order.subList(0, shape.topK());
        int same = (int) Arrays.stream(chosen).filter(top::contains).count();
        hits += same;
        exact += same == shape.topK() ? 1 : 0;
        pairs++;
        for (int expert : top) {
          predicted[target][expert]++;
        }

        for (int expert : chosen) {
          real[target][expert]++;
        }

        score.add(token / 7, target, scores, 0, chosen);
      }
    }

    for (int target = 1; target < shape.layers(); target++) {
      for (int expert = 0; expert < experts; expert++) {
        variation +=
            Math.abs(predicted[target][expert] - real[target][expert]) / 60.0 / shape.topK();
      }
    }

    score.endIteration();
    PredictionMetrics metrics = score.metrics(seed);
    assertThat(metrics.recallAtK().value())
        .isEqualTo((double) hits / pairs / shape.topK(), within(1e-12));
    assertThat(metrics.overall().matches().get(shape.topK()).value())
        .isEqualTo((double) exact / pairs, within(1e-12));
    assertThat(metrics.overall().totalVariation().value())
        .isEqualTo(variation / (shape.layers() - 1), within(1e-12));
    assertThat(metrics.recallAtK().low()).isLessThanOrEqualTo(metrics.recallAtK().value() + 0.2);
    assertThat(metrics.recallAtK().high()).isGreaterThanOrEqualTo(metrics.recallAtK().low());
    assertThat(score.recallAbove(score, 1)).isEqualTo(new Estimate(0, 0, 0));
  }

  @Test
  void intervalsDependOnTheSeedAlone() {
    double[][] numerators = {{1, 5, 2, 8, 3}};
    double[][] denominators = {{10, 10, 10, 10, 10}};
    Estimate[] once = Estimate.ratios(numerators, denominators, 7);
    assertThat(once).isEqualTo(Estimate.ratios(numerators, denominators, 7));
    assertThat(once[0].value()).isEqualTo(0.38);
    assertThat(once[0].low()).isBetween(0.1, 0.3);
    assertThat(once[0].high()).isBetween(0.45, 0.8);
  }

  @Test
  void refusesToCompareOtherSequences() {
    PredictionScore one = new PredictionScore(FOUR, 1);
    one.add(0, 1, new float[4], 0, new int[] {1, 0});
    assertThatThrownBy(() -> one.recallAbove(new PredictionScore(FOUR, 1), 1))
        .hasMessage("The predictors were scored on other sequences");
  }
}
