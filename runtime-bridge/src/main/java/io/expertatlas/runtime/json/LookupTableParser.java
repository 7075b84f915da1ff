package io.expertatlas.runtime.json;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.pipeline.LayerShape;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.LookupTable.Curve;
import io.expertatlas.runtime.pipeline.PipelineFormatException;
import io.expertatlas.runtime.pipeline.TokenCurve;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * A profile as JSON, format-version 1, or 2 with what training takes. All times are raw samples in
 * one unit.
 *
 * <pre>
 * name                            text
 * unit                            nanoseconds, microseconds, milliseconds or seconds
 * machine                         {description, cpu-cores}, and of atlas profile device
 * layer                           {dim, hidden, expert-matrices, bytes-per-value}
 * load-expert, load-attention     [sample]
 * load-gate                       [{experts, samples}]
 * cpu-forward                     [{tokens, samples}], ascending; also, optional, cpu-backward,
 *                                 gpu-forward, gpu-backward, copy-activation, return-activation,
 *                                 attention-..., embed-..., head-forward, head-backward
 * training                        of version 2: {experts, top-k, heads, vocabulary, tokens,
 *                                 sequence-length, peak-bytes, optimizer-parameters}, and [sample]
 *                                 each of {@link TrainingProfile.Piece}; all curves are there
 * </pre>
 */
public final class LookupTableParser {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final Map<String, Double> NANOS =
      new TreeMap<>(
          Map.of("nanoseconds", 1.0, "microseconds", 1e3, "milliseconds", 1e6, "seconds", 1e9));

  private LookupTableParser() {}

  /**
   * Reads a file.
   *
   * @throws PipelineFormatException if it is no such table; with file and field
   * @throws IOException if it cannot be read
   */
  public static LookupTable read(Path file) throws IOException {
    return Fields.read(file, LookupTableParser::parse);
  }

  /**
   * Parses a table.
   *
   * @param name of the file, for messages
   * @throws PipelineFormatException if it is none; with name and field
   */
  public static LookupTable fromJson(String json, String name) {
    return Fields.parse(json, name, LookupTableParser::parse);
  }

  static LookupTable parse(Fields root) {
    int version = root.version(2);
    String unit = root.text("unit");
    Double nanos = NANOS.get(unit);
    if (nanos == null) {
      throw new IllegalArgumentException(
          "unit is %s, expected one of %s".formatted(unit, String.join(", ", NANOS.keySet())));
    }

    Map<Integer, double[]> gates = new TreeMap<>();
    root.objects(
        "load-gate",
        gate -> gates.put(gate.count("experts"), scaled(gate.numbers("samples"), nanos)));
    Map<Curve, TokenCurve> curves = new TreeMap<>();
    for (Curve curve : Curve.values()) {
      if (root.has(key(curve)) || curve == Curve.CPU_FORWARD) {
        curves.put(curve, curve(root, key(curve), nanos));
      }
    }

    return new LookupTable(
        root.text("name"),
        root.object(
            "machine",
            machine ->
                new LookupTable.Machine(
                    machine.text("description"),
                    machine.count("cpu-cores"),
                    machine.has("device") ? machine.text("device") : "")),
        root.object(
            "layer",
            layer ->
                new LayerShape(
                    layer.count("dim"),
                    layer.count("hidden"),
                    layer.count("expert-matrices"),
                    layer.count("bytes-per-value"))),
        scaled(root.numbers("load-expert"), nanos),
        scaled(root.numbers("load-attention"), nanos),
        gates,
        curves,
        version == 1
            ? Optional.empty()
            : Optional.of(root.object("training", training -> training(training, nanos))));
  }

  private static TrainingProfile training(Fields training, double nanos) {
    Map<Piece, double[]> samples = new TreeMap<>();
    for (Piece piece : Piece.values()) {
      samples.put(piece, scaled(training.numbers(key(piece)), nanos));
    }

    return new TrainingProfile(
        new TrainingProfile.Sizes(
            training.count("experts"),
            training.count("top-k"),
            training.count("heads"),
            training.count("vocabulary"),
            training.count("tokens"),
            training.count("sequence-length"),
            training.whole("peak-bytes", 1, Long.MAX_VALUE),
            training.whole("optimizer-parameters", 1, Long.MAX_VALUE)),
        samples);
  }

  private static String key(Enum<?> what) {
    return what.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private record Point(int tokens, double[] samples) {}

  private static TokenCurve curve(Fields root, String key, double nanos) {
    List<Point> points =
        root.objects(
            key,
            point -> new Point(point.count("tokens"), scaled(point.numbers("samples"), nanos)));
    try {
      return TokenCurve.of(
          points.stream().mapToInt(Point::tokens).toArray(),
          points.stream().map(Point::samples).toArray(double[][]::new));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("%s: %s".formatted(key, e.getMessage()), e);
    }
  }

  private static double[] scaled(double[] samples, double nanos) {
    for (int i = 0; i < samples.length; i++) {
      samples[i] *= nanos;
    }

    return samples;
  }

  /** The table with its raw samples, in nanoseconds. */
  public static String toJson(LookupTable table) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", table.isOfTraining() ? 2 : 1);
    root.put("name", table.name());
    root.put("unit", "nanoseconds");
    ObjectNode machine = root.putObject("machine");
    machine.put("description", table.machine().description());
    machine.put("cpu-cores", table.machine().cpuCores());
    if (!table.machine().device().isEmpty()) {
      machine.put("device", table.machine().device());
    }

    root.putObject("layer")
        .put("dim", table.shape().dim())
        .put("hidden", table.shape().hidden())
        .put("expert-matrices", table.shape().expertMatrices())
        .put("bytes-per-value", table.shape().bytesPerValue());
    put(root.putArray("load-expert"), table.loadExpertSamples());
    put(root.putArray("load-attention"), table.loadAttentionSamples());
    ArrayNode gates = root.putArray("load-gate");
    table
        .loadGateSamples()
        .forEach(
            (experts, samples) -> {
              ObjectNode gate = gates.addObject().put("experts", experts);
              put(gate.putArray("samples"), samples);
            });
    for (Curve what : Curve.values()) {
      table.measured(what).ifPresent(curve -> put(root.putArray(key(what)), curve));
    }

    if (table.isOfTraining()) {
      put(root.putObject("training"), table.training());
    }

    return root.toPrettyString() + "\n";
  }

  private static void put(ObjectNode training, TrainingProfile profile) {
    TrainingProfile.Sizes sizes = profile.sizes();
    training
        .put("experts", sizes.experts())
        .put("top-k", sizes.topK())
        .put("heads", sizes.heads())
        .put("vocabulary", sizes.vocabulary())
        .put("tokens", sizes.tokens())
        .put("sequence-length", sizes.sequenceLength())
        .put("peak-bytes", sizes.peakBytes())
        .put("optimizer-parameters", sizes.optimizerParameters());
    for (Piece piece : Piece.values()) {
      put(training.putArray(key(piece)), profile.samples(piece));
    }
  }

  private static void put(ArrayNode points, TokenCurve curve) {
    for (int i = 0; i < curve.points(); i++) {
      ObjectNode point = points.addObject().put("tokens", curve.tokens(i));
      put(point.putArray("samples"), curve.samples(i));
    }
  }

  private static void put(ArrayNode array, double[] samples) {
    for (double sample : samples) {
      array.add(sample);
    }
  }
}
