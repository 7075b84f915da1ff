package io.expertatlas.predictor.store;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/**
 * A folder with the states of a trace's tokens, a row each, little-endian:
 *
 * <ul>
 *   <li>{@code hidden-L.f32} {@code [row][hidden]}: input of layer L's router, all layers but the
 *       last;
 *   <li>{@code gate-L.f32} {@code [row][expert]}: layer L's gate distribution, all layers but the
 *       first; even over the choices where the trace has none;
 *   <li>{@code experts.u16} {@code [row][layer][rank]}, {@code sequence.i32} {@code [row]};
 *   <li>{@code store.properties}, written last: model, shape, rows, where it comes from.
 * </ul>
 *
 * <p>Immutable and safe for several threads; each read opens its file anew.
 */
public final class StateStore {
  static final String FACTS = "store.properties";

  private final Path folder;
  private final PredictedModel model;
  private final int rows;
  private final String origin;

  StateStore(Path folder, PredictedModel model, int rows, String origin) {
    this.folder = folder;
    this.model = model;
    this.rows = rows;
    this.origin = origin;
  }

  /** Whether a folder holds a complete store. */
  public static boolean isComplete(Path folder) {
    return Files.isRegularFile(folder.resolve(FACTS));
  }

  /**
   * Opens a complete store.
   *
   * @throws PredictorFormatException if it is none, or a file has not the length that it must have
   */
  public static StateStore open(Path folder) {
    Path file = folder.resolve(FACTS);
    Properties facts = new Properties();
    try (Reader reader = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
      facts.load(reader);
      ModelShape shape =
          new ModelShape(number(facts, "layers"), number(facts, "experts"), number(facts, "top-k"));
      StateStore store =
          new StateStore(
              folder,
              new PredictedModel(
                  facts.getProperty("model", ""), shape, number(facts, "hidden-size")),
              number(facts, "rows"),
              facts.getProperty("origin", ""));
      store.checkLengths();
      return store;
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read store %s: %s".formatted(folder, e.getMessage()), e);
    } catch (IllegalArgumentException e) {
      throw new PredictorFormatException("Invalid store %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  private static int number(Properties facts, String key) {
    String value = facts.getProperty(key, "missing");
    if (!value.matches("\\d{1,9}")) {
      throw new IllegalArgumentException("%s is %s, expected a number".formatted(key, value));
    }

    return Integer.parseInt(value);
  }

  private void checkLengths() throws IOException {
    int last = model.shape().layers() - 1;
    for (int layer = 0; layer < last; layer++) {
      checkLength(hiddenFile(layer), 4L * rows * model.hiddenSize());
      checkLength(gateFile(layer + 1), 4L * rows * model.shape().experts());
    }

    checkLength("experts.u16", 2L * rows * model.shape().choicesPerToken());
    checkLength("sequence.i32", 4L * rows);
  }

  private void checkLength(String name, long expected) throws IOException {
    long found = Files.size(folder.resolve(name));
    if (found != expected) {
      throw new PredictorFormatException(
          "Invalid store file %s: %d bytes, expected %d"
              .formatted(folder.resolve(name), found, expected));
    }
  }

  static String hiddenFile(int layer) {
    return "hidden-%d.f32".formatted(layer);
  }

  static String gateFile(int layer) {
    return "gate-%d.f32".formatted(layer);
  }

  /** The folder. */
  public Path folder() {
    return folder;
  }

  /** The model of the trace. */
  public PredictedModel model() {
    return model;
  }

  /** Number of tokens. */
  public int rows() {
    return rows;
  }

  /** What the rows were read from, in words. */
  public String origin() {
    return origin;
  }

  /** Sequence of each row. */
  public int[] sequences() {
    int[] sequences = new int[rows];
    StateFile.readInts(folder.resolve("sequence.i32"), sequences);
    return sequences;
  }

  /** What the training of a layer reads, for one thread. */
  public LayerStates layer(int layer, int heads) {
    return new StoredLayer(this, layer, heads);
  }

  /** Reads router inputs of consecutive rows, {@code [row][hidden]}, to an index on. */
  void readHidden(int layer, int row, int count, float[] into, int at) {
    StateFile.readFloats(
        folder.resolve(hiddenFile(layer)), model.hiddenSize(), row, count, into, at);
  }

  /** Reads gate distributions of consecutive rows, {@code [row][expert]}, to an index on. */
  void readGate(int layer, int row, int count, float[] into, int at) {
    StateFile.readFloats(
        folder.resolve(gateFile(layer)), model.shape().experts(), row, count, into, at);
  }

  /** Reads the choices of consecutive rows, {@code [row][layer][rank]}, to an index on. */
  public void readExperts(int row, int count, short[] into, int at) {
    StateFile.readShorts(
        folder.resolve("experts.u16"), model.shape().choicesPerToken(), row, count, into, at);
  }
}
