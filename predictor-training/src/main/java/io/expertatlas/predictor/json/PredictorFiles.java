package io.expertatlas.predictor.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.Predictors;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.WeightTensor;
import io.expertatlas.predictor.json.SavedPredictor.Training;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;

/**
 * A predictor as a folder: {@code predictor.json}, format-version 1, and {@code
 * weights.safetensors}, whose length and SHA-256 the JSON states. Fields that it does not know are
 * left aside.
 */
public final class PredictorFiles {
  /** The description. */
  public static final String JSON = "predictor.json";

  /** The weights. */
  public static final String WEIGHTS = "weights.safetensors";

  private static final int FORMAT_VERSION = 1;
  private static final int MAX_LOOKAHEAD = 1 << 10;
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private PredictorFiles() {}

  /** Writes both files into an existing folder that has neither. */
  public static void write(SavedPredictor saved, Path folder) throws IOException {
    Path weights = folder.resolve(WEIGHTS);
    SafetensorsFile.write(weights, saved.predictor().tensors());
    Files.writeString(folder.resolve(JSON), toJson(saved, Files.size(weights), sha256(weights)));
  }

  static String toJson(SavedPredictor saved, long bytes, String sha256) {
    ExpertPredictor predictor = saved.predictor();
    PredictedModel model = predictor.model();
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", FORMAT_VERSION);
    root.put("kind", predictor.kind().word());
    root.put("model", model.name());
    root.put("layers", model.shape().layers());
    root.put("experts", model.shape().experts());
    root.put("top-k", model.shape().topK());
    root.put("hidden-size", model.hiddenSize());
    root.put("lookahead", predictor.lookahead());
    ObjectNode split = root.putObject("split");
    split.put("seed", saved.split().seed());
    put(split.putArray("validation"), saved.split().validation());
    put(split.putArray("test"), saved.split().test());
    Training training = saved.training();
    ObjectNode trained = root.putObject("training");
    trained.put("trace", training.trace());
    trained.put("sequences", training.sequences());
    trained.put("tokens", training.tokens());
    trained.put("seed", training.seed());
    trained.put("batch", training.batch());
    trained.put("learning-rate", training.learningRate());
    ArrayNode epochs = trained.putArray("epochs");
    training.epochs().forEach(epochs::add);
    ObjectNode weights = root.putObject("weights");
    weights.put("bytes", bytes);
    weights.put("sha256", sha256);
    return root.toPrettyString() + "\n";
  }

  private static void put(ArrayNode array, int[] values) {
    for (int value : values) {
      array.add(value);
    }
  }

  /**
   * Reads a predictor.
   *
   * @param folder with the two files
   * @throws PredictorFormatException if a file is not what it must be; with the file and both
   *     values
   * @throws IOException if one cannot be read
   */
  public static SavedPredictor read(Path folder) throws IOException {
    Path file = folder.resolve(JSON);
    JsonNode root;
    try {
      root = MAPPER.readTree(file.toFile());
    } catch (JsonProcessingException e) {
      throw new PredictorFormatException(
          "Invalid JSON in %s: %s".formatted(file, e.getOriginalMessage()), e);
    }

    try {
      return parse(root, folder);
    } catch (IllegalArgumentException e) {
      throw new PredictorFormatException(
          "Invalid predictor %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  private static SavedPredictor parse(JsonNode root, Path folder) throws IOException {
    if (root == null || !root.isObject()) {
      throw new IllegalArgumentException("not a JSON object");
    }

    long version = whole(root, "format-version", Long.MAX_VALUE);
    if (version != FORMAT_VERSION) {
      throw new IllegalArgumentException(
          "format-version is %d, known is %d".formatted(version, FORMAT_VERSION));
    }

    PredictorKind kind = PredictorKind.ofWord(text(root, "kind"));
    ModelShape shape =
        new ModelShape(
            (int) whole(root, "layers", 1 << 16),
            (int) whole(root, "experts", 1 << 16),
            (int) whole(root, "top-k", 1 << 16));
    PredictedModel model =
        new PredictedModel(text(root, "model"), shape, (int) whole(root, "hidden-size", 1 << 20));
    int lookahead = (int) whole(root, "lookahead", MAX_LOOKAHEAD);
    if (lookahead < 1) {
      throw new IllegalArgumentException("lookahead is 0, expected at least 1");
    }

    JsonNode split = field(root, "split");
    JsonNode trained = field(root, "training");
    Training training =
        new Training(
            text(trained, "trace"),
            text(trained, "sequences"),
            whole(trained, "tokens", Long.MAX_VALUE),
            anyWhole(trained, "seed"),
            (int) whole(trained, "batch", Integer.MAX_VALUE),
            field(trained, "learning-rate").asDouble(),
            Arrays.stream(ints(trained, "epochs")).boxed().toList());
    Map<String, WeightTensor> tensors = tensors(field(root, "weights"), folder.resolve(WEIGHTS));
    return new SavedPredictor(
        Predictors.of(kind, model, lookahead, tensors, folder.resolve(WEIGHTS)),
        new SequenceSplit(anyWhole(split, "seed"), ints(split, "validation"), ints(split, "test")),
        training);
  }

  private static Map<String, WeightTensor> tensors(JsonNode facts, Path file) throws IOException {
    long bytes = whole(facts, "bytes", Long.MAX_VALUE);
    if (Files.size(file) != bytes) {
      throw new PredictorFormatException(
          "Invalid weights: %s has %d bytes, its predictor.json says %d"
              .formatted(file, Files.size(file), bytes));
    }

    String expected = text(facts, "sha256");
    String found = sha256(file);
    if (!found.equals(expected)) {
      throw new PredictorFormatException(
          "Corrupted weights: %s has SHA-256 %s, its predictor.json says %s"
              .formatted(file, found, expected));
    }

    SafetensorsFile open = SafetensorsFile.open(file);
    Map<String, WeightTensor> tensors = new LinkedHashMap<>();
    for (String name : open.entries().keySet()) {
      tensors.put(name, open.read(name));
    }

    return tensors;
  }

  private static String sha256(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] buffer = new byte[1 << 16];
      for (int read = in.read(buffer); read > 0; read = in.read(buffer)) {
        digest.update(buffer, 0, read);
      }

      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java platform has SHA-256", e);
    }
  }

  private static JsonNode field(JsonNode parent, String name) {
    JsonNode node = parent.get(name);
    if (node == null || node.isNull()) {
      throw new IllegalArgumentException("%s is missing".formatted(name));
    }

    return node;
  }

  private static String text(JsonNode parent, String name) {
    JsonNode node = field(parent, name);
    if (!node.isTextual()) {
      throw new IllegalArgumentException("%s is %s, expected a text".formatted(name, node));
    }

    return node.asText();
  }

  private static long whole(JsonNode parent, String name, long most) {
    long value = anyWhole(parent, name);
    if (value < 0 || value > most) {
      throw new IllegalArgumentException("%s is %d, expected 0 to %d".formatted(name, value, most));
    }

    return value;
  }

  private static long anyWhole(JsonNode parent, String name) {
    JsonNode node = field(parent, name);
    if (!node.isIntegralNumber() || !node.canConvertToLong()) {
      throw new IllegalArgumentException("%s is %s, expected a whole number".formatted(name, node));
    }

    return node.asLong();
  }

  private static int[] ints(JsonNode parent, String name) {
    JsonNode array = field(parent, name);
    if (!array.isArray()) {
      throw new IllegalArgumentException("%s is %s, expected an array".formatted(name, array));
    }

    return StreamSupport.stream(array.spliterator(), false)
        .flatMapToInt(
            node -> {
              if (!node.isIntegralNumber() || !node.canConvertToInt()) {
                throw new IllegalArgumentException(
                    "%s holds %s, expected whole numbers".formatted(name, node));
              }

              return IntStream.of(node.intValue());
            })
        .toArray();
  }
}
