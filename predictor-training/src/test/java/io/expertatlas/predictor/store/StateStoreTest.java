package io.expertatlas.predictor.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.States;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RoutingTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StateStoreTest {
  @TempDir private Path folder;

  @Test
  void rowsComeBackAsTheyWent() throws IOException {
    ModelShape shape = new ModelShape(3, 5, 2);
    RouterStates states = States.draw(shape, 4, 30, 1);
    StateStore store = States.store(states, folder);
    assertThat(store.rows()).isEqualTo(30);
    assertThat(store.sequences()).contains(0, 1, 2).hasSize(30);
    float[] hidden = new float[2 + 3 * 4];
    store.readHidden(1, 7, 3, hidden, 2);
    float[] gate = new float[5];
    store.readGate(2, 9, 1, gate, 0);
    short[] experts = new short[6];
    store.readExperts(9, 1, experts, 0);
    double sum = 0;
    for (int expert = 0; expert < 5; expert++) {
      sum += Math.exp(states.score(9, 2, expert));
    }

    for (int i = 0; i < 4; i++) {
      assertThat(hidden[2 + 2 * 4 + i]).isEqualTo(states.hidden(9, 1, i));
    }

    for (int expert = 0; expert < 5; expert++) {
      assertThat((double) gate[expert])
          .isEqualTo(Math.exp(states.score(9, 2, expert)) / sum, within(1e-6));
    }

    for (int choice = 0; choice < 6; choice++) {
      assertThat((int) experts[choice])
          .isEqualTo(states.routes().expert(9, choice / 2, choice % 2));
    }
  }

  @Test
  void scoresOfEveryKindBecomeDistributions() {
    ModelShape shape = new ModelShape(1, 4, 2);
    RoutingTrace routes = RoutingTrace.ofExperts(shape, new short[] {3, 1});
    float[] into = new float[4];
    float[] hidden = {0};
    StateStoreWriter.distribution(RouterStates.ofHidden(routes, 1, hidden), 0, 0, into);
    assertThat(into).containsExactly(0, 0.5f, 0, 0.5f);
    float[] mask = {0, 1, 0, 1};
    StateStoreWriter.distribution(
        RouterStates.of(routes, 1, hidden, Scores.PROBABILITIES, mask), 0, 0, into);
    assertThat(into).containsExactly(0, 0.5f, 0, 0.5f);
    StateStoreWriter.distribution(
        RouterStates.of(routes, 1, hidden, Scores.PROBABILITIES, new float[4]), 0, 0, into);
    assertThat(into).containsExactly(0, 0.5f, 0, 0.5f); // nothing recorded: the choices
    StateStoreWriter.distribution(
        RouterStates.of(routes, 1, hidden, Scores.LOGITS, new float[] {900, 900, -900, 0}),
        0,
        0,
        into);
    assertThat(into).containsExactly(0.5f, 0.5f, 0, 0);
  }

  @Test
  void brokenStoresAreRefused() throws IOException {
    States.store(States.draw(new ModelShape(2, 3, 1), 4, 10, 1), folder);
    Path file = folder.resolve("hidden-0.f32");
    Files.write(file, new byte[7]);
    assertThatThrownBy(() -> StateStore.open(folder))
        .isInstanceOf(PredictorFormatException.class)
        .hasMessage("Invalid store file %s: 7 bytes, expected 160".formatted(file));
    Path facts = folder.resolve("store.properties");
    Files.writeString(facts, Files.readString(facts).replace("rows=10", "rows=ten"));
    assertThatThrownBy(() -> StateStore.open(folder))
        .hasMessage("Invalid store %s: rows is ten, expected a number".formatted(facts));
    Files.delete(facts);
    assertThat(StateStore.isComplete(folder)).isFalse();
  }
}
