package io.expertatlas.predictor.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.States;
import io.expertatlas.predictor.nd4j.LayerTask;
import io.expertatlas.predictor.nd4j.LocalRunner;
import io.expertatlas.predictor.nd4j.TrainedLayer;
import io.expertatlas.predictor.nd4j.TrainerConfig;
import io.expertatlas.predictor.nd4j.TrainingPlan;
import io.expertatlas.predictor.store.StateStore;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainJobTest {
  @TempDir private Path folder;

  private List<LayerTask> tasks(TrainingPlan plan, String name) throws IOException {
    TrainerConfig config =
        new TrainerConfig(PredictorKind.RESIDUAL, 5, 3, 3, 16, 1e-2, true, 4, 1e-3, 1e-4, 128);
    return plan.tasks(config, true, Files.createDirectories(folder.resolve(name)));
  }

  @Test
  void givesTheWeightsOfLocalThreads() throws IOException {
    StateStore store =
        States.store(States.draw(new ModelShape(4, 5, 2), 9, 300, 3), folder.resolve("store"));
    SequenceSplit split = SequenceSplit.draw(IntStream.range(0, 30).toArray(), 1, 0.2, 0.2);
    TrainingPlan plan = new TrainingPlan(store, split, 2, Optional.empty());
    List<TrainedLayer> local = new LocalRunner(2).train(tasks(plan, "local"), () -> {});
    List<TrainedLayer> job = new TrainJob("local[2]").train(tasks(plan, "job"), () -> {});
    assertThat(job).hasSize(3);
    for (int i = 0; i < 3; i++) {
      assertThat(job.get(i).layer()).isEqualTo(i);
      assertThat(job.get(i).epoch()).isEqualTo(local.get(i).epoch());
      assertThat(job.get(i).heads().weight()).isEqualTo(local.get(i).heads().weight());
      assertThat(job.get(i).heads().route()).isEqualTo(local.get(i).heads().route());
      assertThat(job.get(i).heads().down()).isEqualTo(local.get(i).heads().down());
      assertThat(job.get(i).heads().up()).isEqualTo(local.get(i).heads().up());
    }
  }
}
