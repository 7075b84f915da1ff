package io.expertatlas.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.RouterStates.Scores;
import java.nio.FloatBuffer;
import org.junit.jupiter.api.Test;

class RouterStatesTest {
  private final RoutingTrace routes =
      RoutingTrace.ofExperts(new ModelShape(2, 3, 1), new short[] {0, 1, 2, 0});

  @Test
  void statesAreFoundByTokenAndLayer() {
    float[] hidden = {0, 1, 10, 11, 100, 101, 110, 111};
    float[] scores = {0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112};
    RouterStates states = RouterStates.of(routes, 2, hidden, Scores.LOGITS, scores);

    assertThat(states.hidden(1, 0, 1)).isEqualTo(101);
    assertThat(states.score(1, 1, 2)).isEqualTo(112);
    float[] copy = new float[4];
    states.copyHidden(1, 1, copy, 1);
    assertThat(copy).containsExactly(0, 110, 111, 0);
    states.copyScores(0, 1, copy, 0);
    assertThat(copy).containsExactly(10, 11, 12, 0);
    assertThatThrownBy(() -> states.hidden(0, 2, 0)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void layersAreCopiedInBulk() {
    float[] hidden = {0, 1, 10, 11, 100, 101, 110, 111};
    float[] scores = {0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112};
    RouterStates states = RouterStates.of(routes, 2, hidden, Scores.LOGITS, scores);

    FloatBuffer all = FloatBuffer.allocate(8);
    states.copyInputs(0, 2, LayerSelection.all(routes.shape()), all);
    assertThat(all.array()).isEqualTo(hidden);
    FloatBuffer last = FloatBuffer.allocate(4);
    states.copyInputs(0, 2, LayerSelection.parse("1", routes.shape()), last);
    assertThat(last.array()).containsExactly(10, 11, 110, 111);
    FloatBuffer token = FloatBuffer.allocate(3);
    states.copyScores(1, 2, LayerSelection.parse("0", routes.shape()), token);
    assertThat(token.array()).containsExactly(100, 101, 102);
  }

  @Test
  void eitherMayBeAbsent() {
    RouterStates states = RouterStates.ofHidden(routes, 1, new float[] {1, 2, 3, 4});

    assertThat(states.scores()).isEqualTo(Scores.NONE);
    assertThatThrownBy(() -> states.score(0, 0, 0)).isInstanceOf(IndexOutOfBoundsException.class);
    LayerSelection layers = LayerSelection.all(routes.shape());
    FloatBuffer nowhere = FloatBuffer.allocate(0);
    assertThatThrownBy(() -> states.copyScores(0, 1, layers, nowhere))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("The trace has no router scores");
    assertThatThrownBy(() -> routes.copyInputs(0, 1, layers, nowhere))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("The trace has no hidden states");
  }

  @Test
  void whatDoesNotFitTheRoutesIsRefused() {
    float[] nothing = {};
    assertThatThrownBy(() -> RouterStates.of(routes, 0, nothing, Scores.NONE, nothing))
        .hasMessage("Neither hidden states nor scores");
    assertThatThrownBy(() -> RouterStates.ofHidden(routes, 2, new float[4]))
        .hasMessage("Invalid number of values of hidden states: 4, expected 8");
    assertThatThrownBy(() -> RouterStates.of(routes, 0, nothing, Scores.LOGITS, new float[4]))
        .hasMessage("Invalid number of scores: 4, expected 12");
    assertThatThrownBy(() -> RouterStates.ofHidden(routes, -1, nothing))
        .hasMessage("Invalid hidden size: -1, at least 0");
  }
}
