package io.expertatlas.predictor.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.predictor.Captures;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.States;
import io.expertatlas.predictor.nd4j.LayerTask;
import io.expertatlas.predictor.nd4j.LocalRunner;
import io.expertatlas.predictor.nd4j.TrainedLayer;
import io.expertatlas.predictor.nd4j.TrainerConfig;
import io.expertatlas.predictor.nd4j.TrainingCounts;
import io.expertatlas.predictor.nd4j.TrainingPlan;
import io.expertatlas.predictor.nd4j.TrainingRunner;
import io.expertatlas.predictor.store.StateStore;
import io.expertatlas.predictor.store.StateStoreWriter;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainJobTest {
  private static final int LOOKAHEAD = 2;

  @TempDir private Path folder;

  @BeforeEach
  void keepSparksFilesHere() throws IOException {
    System.setProperty(
        "spark.local.dir", Files.createDirectory(folder.resolve("local")).toString());
  }

  @AfterEach
  void nothingIsLeft() throws IOException {
    System.clearProperty("spark.local.dir");
    try (Stream<Path> files = Files.walk(folder.resolve("local"))) {
      assertThat(files.filter(file -> file.toString().contains("layer-states"))).isEmpty();
    }
  }

  private TrainJob job(RouterStates states, TokenSelection selection, int splitTokens)
      throws IOException {
    Path capture = folder.resolve("capture");
    if (!Files.exists(capture)) {
      Captures.write(states, capture);
    }

    return new TrainJob(
        "local[2]",
        TraceSource.of(capture),
        selection,
        model(states),
        states.tokens(),
        "a test",
        splitTokens);
  }

  private static PredictedModel model(RouterStates states) {
    return new PredictedModel("teacher", states.routes().shape(), states.hiddenSize());
  }

  private LocalRunner local(RouterStates states, TokenSelection selection) throws IOException {
    Path store = Files.createDirectory(folder.resolve("store"));
    try (StateStoreWriter writer = new StateStoreWriter(store, model(states))) {
      writer.add(states, index -> selection.keeps(index, states.routes().sequence(index)));
      StateStore written = writer.finish("a test");
      return new LocalRunner(written, 2);
    }
  }

  private List<LayerTask> tasks(TrainingPlan plan, String name) throws IOException {
    Path checkpoints = Files.createDirectories(folder.resolve(name));
    List<LayerTask> tasks = new ArrayList<>();
    for (PredictorKind kind : List.of(PredictorKind.PRE_GATE, PredictorKind.RESIDUAL)) {
      int rank = kind == PredictorKind.RESIDUAL ? 4 : 0;
      tasks.addAll(
          plan.tasks(
              new TrainerConfig(kind, 5, 3, 3, 16, 1e-2, true, rank, 1e-3, 1e-4, 128),
              true,
              checkpoints));
    }

    return tasks;
  }

  private List<TrainedLayer> train(TrainingRunner runner, RouterStates states, String name)
      throws IOException {
    SequenceSplit split = SequenceSplit.draw(runner.sequences(), 1, 0.2, 0.2);
    TrainingCounts counts = runner.count(split, LOOKAHEAD);
    TrainingPlan plan =
        new TrainingPlan(model(states), LOOKAHEAD, counts.train(), Optional.empty());
    return runner.train(tasks(plan, name), split, () -> {});
  }

  /** On threads and as a job that reads the trace in pieces: the same of everything. */
  private void sameWeights(RouterStates states, TokenSelection selection, int splitTokens)
      throws IOException {
    SequenceSplit split;
    TrainingCounts counts;
    List<TrainedLayer> expected;
    try (LocalRunner local = local(states, selection)) {
      split = SequenceSplit.draw(local.sequences(), 1, 0.2, 0.2);
      counts = local.count(split, LOOKAHEAD);
      expected = train(local, states, "local");
    }

    try (TrainJob job = job(states, selection, splitTokens)) {
      assertThat(SequenceSplit.draw(job.sequences(), 1, 0.2, 0.2)).isEqualTo(split);
      TrainingCounts found = job.count(split, LOOKAHEAD);
      assertThat(found.train().tokens()).isEqualTo(counts.train().tokens()).isPositive();
      assertThat(found.validationTokens()).isEqualTo(counts.validationTokens()).isPositive();
      assertThat(found.train().affinity(LOOKAHEAD)).isEqualTo(counts.train().affinity(LOOKAHEAD));
      assertSame(train(job, states, "job"), expected);
    }
  }

  private static void assertSame(List<TrainedLayer> found, List<TrainedLayer> expected) {
    assertThat(found).hasSameSizeAs(expected).isNotEmpty();
    for (int i = 0; i < found.size(); i++) {
      assertThat(found.get(i).layer()).isEqualTo(expected.get(i).layer());
      assertThat(found.get(i).epoch()).isEqualTo(expected.get(i).epoch());
      assertThat(found.get(i).validationRecall()).isEqualTo(expected.get(i).validationRecall());
      assertThat(found.get(i).heads().weight()).isEqualTo(expected.get(i).heads().weight());
      assertThat(found.get(i).heads().bias()).isEqualTo(expected.get(i).heads().bias());
      assertThat(found.get(i).heads().route()).isEqualTo(expected.get(i).heads().route());
      assertThat(found.get(i).heads().down()).isEqualTo(expected.get(i).heads().down());
      assertThat(found.get(i).heads().up()).isEqualTo(expected.get(i).heads().up());
    }
  }

  @Test
  void givesTheWeightsOfLocalThreads() throws IOException {
    sameWeights(States.draw(new ModelShape(4, 5, 2), 9, 300, 3), TokenSelection.ALL, 300);
  }

  @Test
  void piecesOfTheTraceComeTogetherInOrder() throws IOException {
    sameWeights(States.draw(new ModelShape(4, 5, 2), 9, 300, 3), TokenSelection.ALL, 37);
  }

  @Test
  void layersOfManyBlocksComeInOrder() throws IOException {
    sameWeights(States.draw(new ModelShape(3, 3, 1), 400, 900, 3), TokenSelection.ALL, 500);
  }

  @Test
  void selectionsAreKeptTo() throws IOException {
    sameWeights(
        States.draw(new ModelShape(2, 4, 1), 5, 400, 3),
        new TokenSelection(TokenRange.parse("15:371"), Sequences.parse("^%4=1")),
        100);
  }

  @Test
  void tracesWithoutScoresAndWithOneExpertAreTrainedOn() throws IOException {
    RouterStates one = States.draw(new ModelShape(2, 1, 1), 3, 60, 3);
    float[] hidden = new float[60 * 2 * 3];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = one.hidden(i / 6, i / 3 % 2, i % 3);
    }

    sameWeights(RouterStates.ofHidden(one.routes(), 3, hidden), TokenSelection.ALL, 20);
  }

  @Test
  void resumesFromItsCheckpoints() throws IOException {
    RouterStates states = States.draw(new ModelShape(3, 4, 2), 6, 200, 3);
    try (TrainJob job = job(states, TokenSelection.ALL, 50)) {
      List<TrainedLayer> trained = train(job, states, "job");
      Path checkpoint = folder.resolve("job/residual-1.checkpoint");
      byte[] bytes = Files.readAllBytes(checkpoint);
      assertSame(train(job, states, "job"), trained);
      assertThat(Files.readAllBytes(checkpoint)).isEqualTo(bytes);

      bytes[bytes.length / 2] ^= 1;
      Files.write(checkpoint, bytes);
      assertThatThrownBy(() -> train(job, states, "job"))
          .hasMessageContaining("Corrupted checkpoint " + checkpoint)
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void trainsWithoutCheckpointsWhereTheirFolderIsNot() throws IOException {
    RouterStates states = States.draw(new ModelShape(2, 4, 2), 6, 200, 3);
    try (TrainJob job = job(states, TokenSelection.ALL, 50)) {
      List<TrainedLayer> trained = train(job, states, "job");
      SequenceSplit split = SequenceSplit.draw(job.sequences(), 1, 0.2, 0.2);
      TrainingPlan plan =
          new TrainingPlan(
              model(states), LOOKAHEAD, job.count(split, LOOKAHEAD).train(), Optional.empty());
      List<LayerTask> elsewhere = tasks(plan, "gone");
      Files.delete(folder.resolve("gone"));
      assertSame(job.train(elsewhere, split, () -> {}), trained);
      assertThat(folder.resolve("gone")).doesNotExist();
    }
  }

  @Test
  void brokenTracesAreSaidInOneLine() throws IOException {
    RouterStates states = States.draw(new ModelShape(2, 4, 2), 6, 200, 3);
    try (TrainJob job = job(states, TokenSelection.ALL, 50)) {
      SequenceSplit split = SequenceSplit.draw(job.sequences(), 1, 0.2, 0.2);
      TrainingPlan plan =
          new TrainingPlan(
              model(states), LOOKAHEAD, job.count(split, LOOKAHEAD).train(), Optional.empty());
      Path hidden = folder.resolve("capture/hidden.npy");
      byte[] bytes = Files.readAllBytes(hidden);
      bytes[bytes.length - 1] = 0x7f;
      bytes[bytes.length - 2] = (byte) 0xc0;
      Files.write(hidden, bytes);
      assertThatThrownBy(() -> job.train(tasks(plan, "broken"), split, () -> {}))
          .hasMessage(
              "Invalid hidden state NaN in %s at token 199, layer 1, value 5: it must be finite",
              hidden);
    }
  }
}
