package io.expertatlas.runtime.train;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.checkpoint.TensorFile;
import io.expertatlas.runtime.cpu.HostFloats;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Models small enough to check every number, and their golden files. */
final class TinyModels {
  /** Those with golden files. */
  static final List<String> NAMES =
      List.of("mixtral", "mixtral-tied", "post-norm-top1", "post-norm-top2-tied");

  private TinyModels() {}

  /** A golden file: what {@code make_training_goldens.py} wrote. */
  record Golden(JsonNode about, WeightSource tensors) {
    static Golden read(String name) {
      try {
        Path about = Path.of(TinyModels.class.getResource(name + ".json").toURI());
        return new Golden(
            new ObjectMapper().readTree(about.toFile()),
            TensorFile.open(about.resolveSibling(name + ".safetensors")));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      } catch (URISyntaxException e) {
        throw new IllegalStateException(e);
      }
    }

    TrainableModel model() {
      WeightSource weights = (name, shape) -> tensors.tensor("weight/" + name, shape);
      return about.has("rope-theta")
          ? new MixtralTraining(
              mixtralConfig(), weights, about.get("tied").asBoolean(), ParameterMemory.JVM)
          : new PostNormModel(
              new PostNormConfig(
                  whole("layers"),
                  whole("experts"),
                  whole("top-k"),
                  whole("hidden"),
                  whole("inner"),
                  whole("heads"),
                  whole("vocabulary"),
                  about.get("epsilon").asDouble(),
                  about.get("tied").asBoolean()),
              weights,
              ParameterMemory.JVM);
    }

    private MixtralConfig mixtralConfig() {
      return new MixtralConfig(
          whole("layers"),
          whole("experts"),
          whole("top-k"),
          whole("hidden"),
          whole("inner"),
          whole("heads"),
          whole("key-heads"),
          whole("head-size"),
          whole("vocabulary"),
          64,
          about.get("epsilon").asDouble(),
          about.get("rope-theta").asDouble(),
          -1,
          2);
    }

    private int whole(String key) {
      return about.get(key).asInt();
    }

    TokenBatch batch(int step) {
      List<int[]> rows = new ArrayList<>();
      for (JsonNode row : about.get("batches").get(step)) {
        int[] ids = new int[row.size()];
        for (int i = 0; i < ids.length; i++) {
          ids[i] = row.get(i).asInt();
        }

        rows.add(ids);
      }

      return new TokenBatch(rows);
    }

    double loss(int step) {
      return about.get("losses").get(step).asDouble();
    }

    AdamW optimizer() {
      return new AdamW(
          about.get("betas").get(0).asDouble(),
          about.get("betas").get(1).asDouble(),
          about.get("epsilon_adam").asDouble(),
          about.get("decay").asDouble());
    }

    float[] numbers(String kind, Parameter parameter) {
      return HostFloats.read(
          tensors.tensor(
              kind + "/" + parameter.name(),
              parameter.shape().stream().mapToLong(Long::longValue).toArray()));
    }
  }

  /** Random sequences. */
  static TokenBatch batch(int vocabulary, int sequences, int length, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    List<int[]> rows = new ArrayList<>();
    for (int i = 0; i < sequences; i++) {
      rows.add(random.ints(length, 0, vocabulary).toArray());
    }

    return new TokenBatch(rows);
  }
}
