package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.parquet.ListColumn;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Pattern;

/** The files of a checkpoint of FLAME-MoE, a layer each, read side by side. */
final class FlameMoeTrace implements RouteBlocks {
  static final Pattern FILE = Pattern.compile("layer_(\\d{1,6})\\.parquet");

  static final FormatOption<int[]> LAYERS =
      FormatOption.integers(
          "layers", "Layers to read, by the numbers in the names; else all, without gaps.");
  static final FormatOption<Integer> TOP_K =
      FormatOption.integer(
          "top-k", 1, "Experts that the model chooses for a token in a layer (as the rows say).");
  static final List<FormatOption<?>> OPTIONS = List.of(LAYERS, TOP_K, SequencePlaces.LENGTH);

  private static final String INDICES = "indices";
  private static final String SCORES = "scores";

  private final List<Layer> layers;
  private final ModelShape shape;
  private final SequencePlaces places;
  private long[] ids = {}; // [token][rank] of a layer
  private float[] scores = {}; // the same

  private record Layer(Path file, ListColumn indices, ListColumn scores) implements AutoCloseable {
    static Layer open(Path file) {
      ListColumn indices = ListColumn.open(file, INDICES);
      try {
        Layer layer = new Layer(file, indices, ListColumn.open(file, SCORES));
        if (!indices.isInteger()) {
          throw new TraceFormatException(
              "Invalid column %s in %s: %s, expected lists of integers"
                  .formatted(INDICES, file, indices.describe()));
        }

        return layer;
      } catch (RuntimeException e) {
        indices.close();
        throw e;
      }
    }

    @Override
    public void close() {
      Closing.quietly(List.of(indices, scores));
    }
  }

  private FlameMoeTrace(List<Layer> layers, ModelShape shape, SequencePlaces places) {
    this.layers = List.copyOf(layers);
    this.shape = shape;
    this.places = places;
  }

  static FlameMoeTrace open(TraceSource source) {
    List<Layer> layers = new ArrayList<>();
    try {
      for (Path file : files(source)) {
        layers.add(Layer.open(file));
      }

      Layer first = layers.get(0);
      long tokens = first.indices().rows();
      for (Layer layer : layers) {
        if (layer.indices().rows() != tokens) {
          throw new TraceFormatException(
              "Invalid number of rows in %s: %d, but %s has %d; row i of both is the same token"
                  .formatted(layer.file(), layer.indices().rows(), first.file(), tokens));
        }
      }

      int topK = topK(source, layers.get(0));
      return new FlameMoeTrace(
          layers,
          new ModelShape(layers.size(), Sources.experts(source, topK), topK),
          SequencePlaces.open(source, tokens, 0));
    } catch (RuntimeException e) {
      Closing.quietly(layers);
      throw e;
    }
  }

  /** The files that are read, in the order of their layers. */
  private static List<Path> files(TraceSource source) {
    Path path = source.path();
    Optional<int[]> wanted = source.options().find(LAYERS);
    if (!Files.exists(path)) {
      throw new TraceFormatException("Cannot read %s: no such file or folder".formatted(path));
    }

    SortedMap<Integer, Path> files =
        Files.isDirectory(path)
            ? RankFiles.of(path, FILE)
            : new TreeMap<>(Map.of(RankFiles.number(path, FILE).orElse(0), path));
    if (files.isEmpty()) {
      throw new TraceFormatException(
          "Cannot read routes from %s: it holds no layer_<n>.parquet. Maybe name the folder of one checkpoint"
              .formatted(path));
    }

    if (wanted.isPresent()) {
      List<Path> chosen = new ArrayList<>();
      for (int layer : wanted.get()) {
        if (!files.containsKey(layer)) {
          throw new TraceFormatException(
              "Invalid layers for %s: %d, it has %s".formatted(path, layer, files.keySet()));
        }

        chosen.add(files.get(layer));
      }

      if (chosen.isEmpty()) {
        throw new TraceFormatException("Invalid layers for %s: none".formatted(path));
      }

      return chosen;
    }

    int count = files.lastKey() - files.firstKey() + 1;
    if (count != files.size()) {
      throw new TraceFormatException(
          "Missing layers in %s: it has %s, of %d to %d. Maybe say with --format-option layers=... that these are to be read as neighbours"
              .formatted(path, files.keySet(), files.firstKey(), files.lastKey()));
    }

    return List.copyOf(files.values());
  }

  private static int topK(TraceSource source, Layer first) {
    Optional<Integer> given = source.options().find(TOP_K);
    if (first.indices().rows() == 0) {
      return given.orElseThrow(
          () ->
              new TraceFormatException(
                  "Cannot tell the top-k of %s: it has no token. Maybe say it with --format-option top-k=K"
                      .formatted(source.path())));
    }

    int found = first.indices().firstLength();
    if (given.orElse(found) != found) {
      throw new TraceFormatException(
          "Invalid top-k for %s: %d, but the first row of %s has %d experts"
              .formatted(source.path(), given.get(), first.file(), found));
    }

    return found;
  }

  @Override
  public ModelShape shape() {
    return shape;
  }

  @Override
  public long[] blockTokens() {
    return new long[] {layers.get(0).indices().rows()};
  }

  @Override
  public boolean hasWeights() {
    return true;
  }

  @Override
  public void start(long token) {
    for (Layer layer : layers) {
      layer.indices().skipTo(token);
      layer.scores().skipTo(token);
    }

    places.start(token);
  }

  @Override
  public RoutingTrace routes(int block, long from, int count) {
    int topK = shape.topK();
    if (ids.length < count * topK) {
      ids = new long[count * topK];
      scores = new float[count * topK];
    }

    Path path = layers.get(0).file().toAbsolutePath().getParent();
    Path firstName = layers.get(0).file().getFileName();
    RouteBuffer buffer =
        new RouteBuffer(
            shape,
            count,
            true,
            path,
            token -> "row %d of the files from %s on".formatted(from + token, firstName));
    for (int i = 0; i < layers.size(); i++) {
      Layer layer = layers.get(i);
      layer.indices().readIntegers(count, topK, ids);
      layer.scores().readFloats(count, topK, scores);
      for (int at = 0; at < count * topK; at++) {
        buffer.put(at / topK, i, at % topK, ids[at]);
        buffer.weigh(at / topK, i, at % topK, scores[at]);
      }
    }

    places.read(buffer, from, count);
    return buffer.build();
  }

  @Override
  public void close() {
    Closing.quietly(layers);
    places.close();
  }
}
