package io.expertatlas.predictor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RoutingTrace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ScoringTest {
  private static final ModelShape SHAPE = new ModelShape(4, 6, 2);
  private static final PredictedModel MODEL = new PredictedModel("m", SHAPE, 9);
  private static final RouterStates STATES = States.draw(SHAPE, 9, 70, 5);

  private static TablePredictor table(PredictorKind kind, RoutingTrace trace, int lookahead) {
    RoutingCounts counts = new RoutingCounts(trace.shape(), lookahead);
    int width = trace.shape().choicesPerToken();
    int topK = trace.shape().topK();
    short[] experts = new short[width];
    for (int token = 0; token < trace.tokens(); token++) {
      for (int i = 0; i < width; i++) {
        experts[i] = (short) trace.expert(token, i / topK, i % topK);
      }

      counts.add(experts, 0);
    }

    return TablePredictor.of(kind, new PredictedModel("m", trace.shape(), 0), lookahead, counts);
  }

  @Test
  void aPredictorWithTheRightGatesIsAlwaysRight() {
    float[][] gates = States.gates(SHAPE, 9, 5);
    float[][] biases = new float[4][0];
    AffinePredictor nextGate = AffinePredictor.nextGate(MODEL, 2, gates, biases);
    List<long[]> real = new ArrayList<>();
    List<long[]> predicted = new ArrayList<>();
    Scoring scoring =
        new Scoring(
            MODEL,
            List.of(nextGate),
            32,
            (iteration, gate, counts) -> {
              real.add(gate);
              predicted.add(counts[0][1]);
            });
    scoring.add(STATES, index -> true);
    scoring.finish();
    assertThat(scoring.tokens()).isEqualTo(70);
    for (int h = 1; h <= 2; h++) {
      PredictionMetrics metrics = scoring.score(0, h).metrics(1);
      assertThat(metrics.recallAtK()).isEqualTo(new Estimate(1, 1, 1));
      assertThat(metrics.overall().totalVariation().value()).isZero();
      assertThat(metrics.iterations()).isEqualTo(3);
      assertThat(metrics.sequences()).isEqualTo(7);
      assertThat(metrics.leadLayers()).isEqualTo(h);
    }

    assertThat(real).hasSize(3);
    for (int i = 0; i < 3; i++) { // layers 2 and 3 are predicted at head-out 2
      assertThat(predicted.get(i)).isEqualTo(Arrays.copyOfRange(real.get(i), 12, 24));
    }
  }

  @Test
  void previousTokenIsThatOfTheSameSequence() {
    // two sequences, interleaved, each with a habit of its own
    ModelShape shape = new ModelShape(2, 4, 1);
    short[] experts = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
    RoutingTrace trace =
        RoutingTrace.of(
            shape,
            experts,
            new float[0],
            new int[] {0, 1, 0, 1, 0, 1},
            new int[] {0, 0, 1, 1, 2, 2},
            new byte[6]);
    TablePredictor predictor = table(PredictorKind.PREVIOUS_TOKEN, trace, 1);
    Scoring scoring =
        new Scoring(predictor.model(), List.of(predictor), 100, (iteration, gate, counts) -> {});
    scoring.add(trace, index -> true);
    scoring.finish();
    // 4 of 6 have a previous token; the first two fall back to popularity, a tie won by expert 1
    assertThat(scoring.score(0, 1).metrics(1).recallAtK().value()).isEqualTo(5 / 6.0);
  }

  @Test
  void affinityFollowsPairsOfLayers() {
    ModelShape shape = new ModelShape(3, 3, 1);
    short[] experts = {0, 1, 2, 1, 2, 0, 2, 0, 1, 0, 1, 2};
    RoutingTrace trace = RoutingTrace.ofExperts(shape, experts);
    TablePredictor predictor = table(PredictorKind.AFFINITY, trace, 2);
    float[] into = new float[6];
    TokenState token = new TokenState(predictor.model());
    token.chosen()[0] = 0;
    predictor.predict(0, token, predictor.scratch(), into);
    // 2 of the 2 tokens with expert 0 go to 1, then 2; half a count is added to each pair
    assertThat(Math.exp(into[1])).isEqualTo(2.5 / 3.5, within(1e-6));
    assertThat(Math.exp(into[0])).isEqualTo(0.5 / 3.5, within(1e-6));
    assertThat(Math.exp(into[5])).isEqualTo(2.5 / 3.5, within(1e-6));
  }

  @ParameterizedTest
  @EnumSource(
      value = PredictorKind.class,
      names = {"POPULARITY", "PREVIOUS_TOKEN", "AFFINITY"})
  void tablesScoreTracesWithoutStatesAndEmptyOnes(PredictorKind kind) {
    TablePredictor predictor = table(kind, STATES.routes(), 3);
    Scoring scoring =
        new Scoring(predictor.model(), List.of(predictor), 10, (iteration, gate, counts) -> {});
    scoring.finish();
    assertThat(scoring.tokens()).isZero();
    scoring.add(STATES.routes(), index -> index % 2 == 0);
    scoring.finish();
    assertThat(scoring.tokens()).isEqualTo(35);
    assertThat(scoring.score(0, 3).metrics(1).recallAtK().value()).isBetween(0.1, 1.0);
  }

  @Test
  void aPredictorOfHiddenStatesNeedsThem() {
    AffinePredictor nextGate =
        AffinePredictor.nextGate(MODEL, 1, States.gates(SHAPE, 9, 5), new float[4][0]);
    assertThatThrownBy(
            () ->
                new Scoring(
                    new PredictedModel("m", SHAPE, 0),
                    List.of(nextGate),
                    10,
                    (iteration, gate, counts) -> {}))
        .hasMessage(
            "Cannot score predictor next-gate: it reads hidden states, and the trace has none");
  }
}
