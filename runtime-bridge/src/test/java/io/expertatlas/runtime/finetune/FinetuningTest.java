package io.expertatlas.runtime.finetune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.train.AdamW;
import io.expertatlas.runtime.train.InitialWeights;
import io.expertatlas.runtime.train.MixtralTraining;
import io.expertatlas.runtime.train.ParameterMemory;
import io.expertatlas.runtime.train.PlainExecutor;
import io.expertatlas.runtime.train.TrainableModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FinetuningTest {
  private static final MixtralConfig CONFIG =
      new MixtralConfig(1, 2, 1, 4, 3, 1, 1, 4, 7, 64, 1e-5, 100, -1, 2);

  @TempDir private Path folder;
  private Path source;

  @BeforeEach
  void makeSource() throws IOException {
    source = Files.createDirectory(folder.resolve("source"));
    Files.writeString(source.resolve("config.json"), "{\"dtype\": \"bfloat16\", \"a\": [1]}");
    Files.writeString(source.resolve("tokenizer.json"), "{}");
    Files.writeString(source.resolve("training.json"), "not copied");
  }

  private static TrainingSettings settings(double learningRate, int batch) {
    return settings(learningRate, batch, 1);
  }

  private static TrainingSettings settings(double learningRate, int batch, double clipNorm) {
    return new TrainingSettings(
        5,
        batch,
        1,
        6,
        learningRate,
        RateSchedule.LINEAR,
        2,
        new AdamW(0.9, 0.99, 1e-8, 0.01),
        clipNorm,
        0.2,
        3);
  }

  private static TokenRows rows() {
    SplittableRandom random = new SplittableRandom(1);
    List<int[]> documents = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      documents.add(random.ints(5 + i, 0, 7).toArray());
    }

    return TokenRows.pack(documents, 6, 0.2, 3);
  }

  private FinetuneResult run(
      Path output, TrainingSettings settings, boolean resumes, FileLayer files)
      throws IOException, InterruptedException {
    TrainableModel model =
        new MixtralTraining(CONFIG, new InitialWeights(1), false, ParameterMemory.JVM);
    try (PlainExecutor executor = new PlainExecutor(model, 1)) {
      return new Finetuning(source, output, settings, 2, resumes)
          .run(model, rows(), executor, Map.of(), TrainingObserver.NONE, files);
    }
  }

  private static Map<String, Long> sizes(Path folder) throws IOException {
    Map<String, Long> sizes = new TreeMap<>();
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path path : all.filter(Files::isRegularFile).toList()) {
        sizes.put(folder.relativize(path).toString(), Files.size(path));
      }
    }

    return sizes;
  }

  @Test
  void theOutputIsAModelWithReportAndLastCheckpoint() throws Exception {
    Path output = folder.resolve("out");
    FinetuneResult result = run(output, settings(0.1, 2), false, FileLayer.REAL);
    assertThat(sizes(output))
        .containsOnlyKeys(
            "checkpoint-000005/state.safetensors",
            "checkpoint-000005/training.json",
            "config.json",
            "model.safetensors",
            "report.html",
            "tokenizer.json");
    assertThat(new ObjectMapper().readTree(output.resolve("config.json").toFile()))
        .isEqualTo(new ObjectMapper().readTree("{\"dtype\": \"float32\", \"a\": [1]}"));
    assertThat(result.curve()).hasSize(5);
    assertThat(result.curve().stream().map(TrainingState.Point::rate))
        .containsExactly(0.05, 0.1, 0.1, 0.1 * (1 - 1 / 3.0), 0.1 * (1 - 2 / 3.0));
    assertThat(result.heldOutAfter()).isNotEqualTo(result.heldOutBefore());
    assertThat(result.heldOutTokens()).isEqualTo(rows().heldOutRows() * 6L);
  }

  @Test
  void sameSeedGivesTheSameCurveAndWeights() throws Exception {
    FinetuneResult one = run(folder.resolve("one"), settings(0.1, 2), false, FileLayer.REAL);
    FinetuneResult two = run(folder.resolve("two"), settings(0.1, 2), false, FileLayer.REAL);
    assertThat(two.curve()).isEqualTo(one.curve());
    assertThat(folder.resolve("two/model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("one/model.safetensors"));
  }

  @Test
  void withoutClippingTheCurveIsThatOfABoundThatIsNeverMet() throws Exception {
    FinetuneResult none = run(folder.resolve("one"), settings(0.1, 2, 0), false, FileLayer.REAL);
    FinetuneResult high = run(folder.resolve("two"), settings(0.1, 2, 1e9), false, FileLayer.REAL);
    assertThat(none.curve()).isEqualTo(high.curve());
    assertThat(folder.resolve("two/model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("one/model.safetensors"));
  }

  @Test
  void killedAnywhereTheResumedRunEndsWithTheSameWeights() throws Exception {
    Path whole = folder.resolve("whole");
    KillingFiles counting = new KillingFiles(-1, false);
    FinetuneResult expected = run(whole, settings(0.1, 2), false, counting);
    assertThat(counting.doings()).isGreaterThan(25);
    for (int doomed = 0; doomed < counting.doings(); doomed++) {
      for (boolean halfway : counting.isWrite(doomed) ? List.of(false, true) : List.of(false)) {
        Path output = folder.resolve("killed-%d-%s".formatted(doomed, halfway));
        KillingFiles first = new KillingFiles(doomed, halfway);
        assertThatThrownBy(() -> run(output, settings(0.1, 2), false, first))
            .isInstanceOf(KillingFiles.Killed.class);
        check(whole, expected, output, "killed at %d".formatted(doomed));
      }
    }
  }

  private void check(Path whole, FinetuneResult expected, Path output, String as) throws Exception {
    if (Files.exists(output.resolve("config.json"))) {
      assertThat(output.resolve("model.safetensors"))
          .as(as + ": a folder with a config is a whole model")
          .hasSameBinaryContentAs(whole.resolve("model.safetensors"));
    }

    FinetuneResult found = run(output, settings(0.1, 2), true, FileLayer.REAL);
    assertThat(found.curve()).as(as).isEqualTo(expected.curve());
    assertThat(found.heldOutBefore()).as(as).isEqualTo(expected.heldOutBefore());
    assertThat(found.heldOutAfter()).as(as).isEqualTo(expected.heldOutAfter());
    assertThat(sizes(output).keySet()).as(as).isEqualTo(sizes(whole).keySet());
    for (String file : List.of("model.safetensors", "checkpoint-000005/state.safetensors")) {
      assertThat(output.resolve(file)).as(as).hasSameBinaryContentAs(whole.resolve(file));
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void killedAgainAndAgainItStillEndsWithTheSameWeights(long seed) throws Exception {
    Path whole = folder.resolve("whole");
    FinetuneResult expected = run(whole, settings(0.1, 2), false, FileLayer.REAL);
    Path output = folder.resolve("killed");
    SplittableRandom random = new SplittableRandom(seed);
    for (int death = 0; death < 6; death++) {
      KillingFiles files = new KillingFiles(random.nextInt(20), random.nextBoolean());
      try {
        run(output, settings(0.1, 2), true, files);
      } catch (KillingFiles.Killed e) {
        assertThat(files.doings()).isPositive();
      }
    }

    check(whole, expected, output, "seed %d".formatted(seed));
  }

  @Test
  void checkpointsOfAnotherTrainingAreRefused() throws Exception {
    Path output = folder.resolve("out");
    run(output, settings(0.1, 2), false, FileLayer.REAL);
    assertThatThrownBy(() -> run(output, settings(0.1, 3), true, FileLayer.REAL))
        .isInstanceOf(TrainingException.class)
        .hasMessage(
            "Cannot resume from %s: its batch is 2, asked for is 3"
                .formatted(output.resolve("checkpoint-000005")));
    assertThatThrownBy(() -> run(output, settings(0.2, 2), true, FileLayer.REAL))
        .hasMessageEndingWith("its learning-rate is 0.1, asked for is 0.2");
  }

  @Test
  void brokenCheckpointsAreRefused() throws Exception {
    Path output = folder.resolve("out");
    run(output, settings(0.1, 2), false, FileLayer.REAL);
    Path json = output.resolve("checkpoint-000005/training.json");
    String text = Files.readString(json);
    Files.writeString(json, text.replace("\"format-version\":1", "\"format-version\":2"));
    assertThatThrownBy(() -> run(output, settings(0.1, 2), true, FileLayer.REAL))
        .hasMessage("Cannot resume from %s: format-version 2, expected 1".formatted(json));
    Files.writeString(json, "{");
    assertThatThrownBy(() -> run(output, settings(0.1, 2), true, FileLayer.REAL))
        .hasMessageStartingWith("Cannot resume from %s: invalid JSON".formatted(json));
    Files.move(output.resolve("checkpoint-000005"), output.resolve("checkpoint-000004"));
    Files.writeString(output.resolve("checkpoint-000004/training.json"), text);
    assertThatThrownBy(() -> run(output, settings(0.1, 2), true, FileLayer.REAL))
        .hasMessageEndingWith("its curve has 5 steps, its name says 4");
  }

  @Test
  void anExistingFolderIsRefusedUnlessResumed() throws Exception {
    Path output = Files.createDirectory(folder.resolve("out"));
    assertThatThrownBy(() -> run(output, settings(0.1, 2), false, FileLayer.REAL))
        .hasMessage("Cannot write %s: it exists already. Maybe add --resume".formatted(output));
    Files.writeString(output.resolve("notes.txt"), "mine");
    assertThatThrownBy(() -> run(output, settings(0.1, 2), true, FileLayer.REAL))
        .hasMessage(
            "Cannot resume in %s: it holds notes.txt, which no training wrote".formatted(output));
    assertThatThrownBy(
            () -> run(folder.resolve("no/where"), settings(0.1, 2), false, FileLayer.REAL))
        .hasMessage(
            "Cannot write %s: the folder %s does not exist"
                .formatted(folder.resolve("no/where"), folder.resolve("no")));
  }

  @Test
  void aGradientThatIsNoNumberIsNamedWhereParametersMoveMeanwhile() {
    Path output = folder.resolve("out");
    assertThatThrownBy(() -> run(output, settings(1e38, 2, 0), false, FileLayer.REAL))
        .isInstanceOf(TrainingException.class)
        .hasMessageMatching(
            "Stopped in step \\d of 5: the gradient of \\S+ is no number, learning rate 1\\.0E38\\."
                + " Maybe lower it");
    assertThat(output.resolve("config.json")).doesNotExist();
  }

  @Test
  void aLossThatIsNoNumberStopsWithTheNumbersAndWritesNoModel() throws IOException {
    Path output = folder.resolve("out");
    assertThatThrownBy(() -> run(output, settings(1e38, 2), false, FileLayer.REAL))
        .isInstanceOf(TrainingException.class)
        .hasMessageMatching(
            "Stopped in step \\d of 5: loss \\S+, gradient norm \\S+, learning rate 1\\.0E38\\."
                + " Maybe lower it");
    assertThat(output.resolve("config.json")).doesNotExist();
    assertThat(output.resolve("model.safetensors")).doesNotExist();
  }
}
