package io.expertatlas.predictor.nd4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.predictor.AffineHeads;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.States;
import io.expertatlas.predictor.store.StateStore;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LayerTrainerTest {
  private static final ModelShape SHAPE = new ModelShape(4, 5, 2);
  private static final int HIDDEN = 7;

  @TempDir private Path folder;

  private StateStore store;
  private SequenceSplit split;

  private TrainingPlan plan(ModelShape shape, int tokens) throws IOException {
    store = States.store(States.draw(shape, HIDDEN, tokens, 3), folder.resolve("store-" + tokens));
    LocalRunner runner = new LocalRunner(store, 1);
    split = SequenceSplit.draw(runner.sequences(), 1, 0.1, 0.2);
    TrainingCounts counts = runner.count(split, 3);
    return new TrainingPlan(store.model(), 3, counts.train(), Optional.empty());
  }

  private List<TrainedLayer> train(int threads, List<LayerTask> tasks, Runnable epochDone) {
    return new LocalRunner(store, threads).train(tasks, split, epochDone);
  }

  private static TrainerConfig config(PredictorKind kind, int epochs, int poolRows) {
    int rank = kind == PredictorKind.RESIDUAL ? 6 : 0;
    return new TrainerConfig(
        kind,
        5,
        epochs,
        epochs,
        16,
        1e-2,
        kind != PredictorKind.PRE_GATE,
        rank,
        1e-3,
        1e-4,
        poolRows);
  }

  private List<LayerTask> tasks(TrainingPlan plan, TrainerConfig config, String name)
      throws IOException {
    return plan.tasks(config, true, Files.createDirectories(folder.resolve(name)));
  }

  static void assertSame(List<TrainedLayer> found, List<TrainedLayer> expected) {
    assertThat(found).hasSameSizeAs(expected);
    for (int i = 0; i < found.size(); i++) {
      AffineHeads mine = found.get(i).heads();
      AffineHeads theirs = expected.get(i).heads();
      assertThat(found.get(i).epoch()).isEqualTo(expected.get(i).epoch());
      assertThat(mine.weight()).isEqualTo(theirs.weight());
      assertThat(mine.bias()).isEqualTo(theirs.bias());
      assertThat(mine.route()).isEqualTo(theirs.route());
      assertThat(mine.down()).isEqualTo(theirs.down());
      assertThat(mine.unitBias()).isEqualTo(theirs.unitBias());
      assertThat(mine.unitRoute()).isEqualTo(theirs.unitRoute());
      assertThat(mine.up()).isEqualTo(theirs.up());
    }
  }

  @Test
  void learnsALinearTeacher() throws IOException {
    TrainingPlan plan = plan(SHAPE, 3000);
    for (TrainedLayer layer :
        train(2, tasks(plan, config(PredictorKind.PRE_GATE, 60, 1 << 20), "a"), () -> {})) {
      assertThat(layer.validationRecall()).as("layer " + layer.layer()).isGreaterThan(0.97);
    }
  }

  @Test
  void sameSeedGivesTheSameBitsWithAnyNumberOfThreads() throws IOException {
    TrainingPlan plan = plan(SHAPE, 400);
    TrainerConfig config = config(PredictorKind.RESIDUAL, 4, 1 << 20);
    List<TrainedLayer> one = train(1, tasks(plan, config, "one"), () -> {});
    List<TrainedLayer> three = train(3, tasks(plan, config, "three"), () -> {});
    assertSame(three, one);
  }

  @Test
  void resumesWithTheSameWeightsAsIfUninterrupted() throws IOException {
    TrainingPlan plan = plan(SHAPE, 400);
    TrainerConfig config = config(PredictorKind.RESIDUAL, 6, 100); // several pools an epoch
    List<TrainedLayer> whole = train(1, tasks(plan, config, "whole"), () -> {});
    List<LayerTask> tasks = tasks(plan, config, "broken");
    int[] epochs = new int[1];
    assertThatThrownBy(
            () ->
                train(
                    1,
                    tasks,
                    () -> {
                      if (++epochs[0] == 9) { // in the second layer
                        throw new IllegalStateException("the plug was pulled");
                      }
                    }))
        .hasMessage("the plug was pulled");
    List<Integer> rest = new ArrayList<>();
    List<TrainedLayer> resumed = train(1, tasks, () -> rest.add(1));
    assertThat(rest).hasSizeBetween(3, 3 * 6 - 9); // the third layer may have begun meanwhile
    assertSame(resumed, whole);
  }

  @Test
  void refusesCheckpointsOfAnotherTrainingAndBrokenOnes() throws IOException {
    TrainingPlan plan = plan(SHAPE, 200);
    List<LayerTask> tasks = tasks(plan, config(PredictorKind.PRE_GATE, 1, 1 << 20), "c");
    train(1, tasks, () -> {});
    List<LayerTask> other = tasks(plan, config(PredictorKind.PRE_GATE, 2, 1 << 20), "c");
    assertThatThrownBy(() -> train(1, other, () -> {}))
        .hasMessageContainingAll("Cannot resume from", "pre-gate-0.checkpoint", "this one is");

    Path file = Path.of(tasks.get(0).checkpoint());
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length / 2] ^= 1;
    Files.write(file, bytes);
    assertThatThrownBy(() -> train(1, tasks, () -> {}))
        .hasMessageContainingAll("Corrupted checkpoint", "CRC-32");
    Files.write(file, new byte[] {1, 2, 3});
    assertThatThrownBy(() -> train(1, tasks, () -> {}))
        .hasMessageContaining("Truncated checkpoint");
  }

  @Test
  void trainsOneExpertAndFewerTokensThanABatch() throws IOException {
    TrainingPlan plan = plan(new ModelShape(2, 1, 1), 50);
    TrainerConfig config =
        new TrainerConfig(PredictorKind.RESIDUAL, 1, 2, 2, 512, 1e-3, true, 1, 0.1, 0.1, 512);
    List<TrainedLayer> trained = train(4, tasks(plan, config, "few"), () -> {});
    assertThat(trained).hasSize(1);
    assertThat(trained.get(0).validationRecall()).isEqualTo(1);
  }

  @Test
  void refusesWhatCannotBeTrained() {
    assertThatThrownBy(() -> config(PredictorKind.AFFINITY, 1, 100))
        .hasMessage("Invalid predictor to train: affinity, its weights are counted or copied");
    assertThatThrownBy(() -> config(PredictorKind.PRE_GATE, 0, 100))
        .hasMessage("Invalid epochs: 0, at least 1");
    assertThatThrownBy(() -> config(PredictorKind.PRE_GATE, 1, 3))
        .hasMessage("Invalid tokens shuffled together: 3, at least 16");
  }
}
