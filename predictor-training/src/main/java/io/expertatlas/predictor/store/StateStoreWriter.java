package io.expertatlas.predictor.store;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RoutingTrace;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.function.IntPredicate;

/** Writes a {@link StateStore}, a batch of tokens at a time. */
public final class StateStoreWriter implements AutoCloseable {
  private final Path folder;
  private final PredictedModel model;
  private final List<FileChannel> hidden = new ArrayList<>(); // [layer]
  private final List<FileChannel> gate = new ArrayList<>(); // [layer - 1]
  private final FileChannel experts;
  private final FileChannel sequences;
  private int rows;

  /**
   * Begins a store in an existing folder; what a broken-off writer left there is overwritten.
   *
   * @param model with a hidden size
   */
  public StateStoreWriter(Path folder, PredictedModel model) throws IOException {
    if (model.hiddenSize() == 0) {
      throw new IllegalArgumentException("The trace has no hidden states");
    }

    this.folder = folder;
    this.model = model;
    Files.deleteIfExists(folder.resolve(StateStore.FACTS));
    for (int layer = 0; layer < model.shape().layers() - 1; layer++) {
      hidden.add(create(StateStore.hiddenFile(layer)));
      gate.add(create(StateStore.gateFile(layer + 1)));
    }

    experts = create("experts.u16");
    sequences = create("sequence.i32");
  }

  private FileChannel create(String name) throws IOException {
    return FileChannel.open(
        folder.resolve(name),
        StandardOpenOption.CREATE,
        StandardOpenOption.TRUNCATE_EXISTING,
        StandardOpenOption.WRITE);
  }

  /**
   * Appends tokens, those whose index in the batch passes.
   *
   * @throws PredictorFormatException if there are more than 2^31 - 1
   */
  public void add(RouterStates states, IntPredicate passes) throws IOException {
    RoutingTrace trace = states.routes();
    int[] tokens = new int[trace.tokens()];
    int count = 0;
    for (int token = 0; token < trace.tokens(); token++) {
      if (passes.test(token)) {
        tokens[count++] = token;
      }
    }

    if (rows > Integer.MAX_VALUE - count) {
      throw new PredictorFormatException(
          "Cannot store more than %d tokens".formatted(Integer.MAX_VALUE));
    }

    ModelShape shape = model.shape();
    float[] row = new float[model.hiddenSize()];
    ByteBuffer bytes = buffer(4L * count * model.hiddenSize());
    for (int layer = 0; layer < hidden.size(); layer++) {
      bytes.clear();
      for (int i = 0; i < count; i++) {
        states.copyHidden(tokens[i], layer, row, 0);
        bytes.asFloatBuffer().put(row);
        bytes.position(bytes.position() + 4 * row.length);
      }

      write(hidden.get(layer), bytes);
    }

    float[] distribution = new float[shape.experts()];
    bytes = buffer(4L * count * shape.experts());
    for (int layer = 1; layer < shape.layers(); layer++) {
      bytes.clear();
      for (int i = 0; i < count; i++) {
        distribution(states, tokens[i], layer, distribution);
        bytes.asFloatBuffer().put(distribution);
        bytes.position(bytes.position() + 4 * distribution.length);
      }

      write(gate.get(layer - 1), bytes);
    }

    bytes = buffer(2L * count * shape.choicesPerToken());
    for (int i = 0; i < count; i++) {
      for (int choice = 0; choice < shape.choicesPerToken(); choice++) {
        bytes.putShort(
            (short) trace.expert(tokens[i], choice / shape.topK(), choice % shape.topK()));
      }
    }

    write(experts, bytes);
    bytes = buffer(4L * count);
    for (int i = 0; i < count; i++) {
      bytes.putInt(trace.sequence(tokens[i]));
    }

    write(sequences, bytes);
    rows += count;
  }

  /** What a gate gave its experts, by {@link GateDistribution}. */
  static void distribution(RouterStates states, int token, int layer, float[] into) {
    if (states.scores() != Scores.NONE) {
      states.copyScores(token, layer, into, 0);
    }

    RoutingTrace trace = states.routes();
    GateDistribution.of(
        states.scores(), into, rank -> trace.expert(token, layer, rank), trace.shape().topK());
  }

  private static ByteBuffer buffer(long bytes) {
    return ByteBuffer.allocate(Math.toIntExact(bytes)).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static void write(FileChannel channel, ByteBuffer bytes) throws IOException {
    bytes.flip();
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /**
   * Ends the store.
   *
   * @param origin what the rows were read from, in words
   */
  public StateStore finish(String origin) throws IOException {
    close();
    Properties facts = new Properties();
    facts.setProperty("model", model.name());
    facts.setProperty("layers", String.valueOf(model.shape().layers()));
    facts.setProperty("experts", String.valueOf(model.shape().experts()));
    facts.setProperty("top-k", String.valueOf(model.shape().topK()));
    facts.setProperty("hidden-size", String.valueOf(model.hiddenSize()));
    facts.setProperty("rows", String.valueOf(rows));
    facts.setProperty("origin", origin);
    Path aside = folder.resolve(StateStore.FACTS + ".tmp");
    try (Writer writer = Files.newBufferedWriter(aside, StandardCharsets.UTF_8)) {
      facts.store(writer, null);
    }

    Files.move(aside, folder.resolve(StateStore.FACTS));
    return StateStore.open(folder);
  }

  @Override
  public void close() {
    List<FileChannel> all = new ArrayList<>(hidden);
    all.addAll(gate);
    all.add(experts);
    all.add(sequences);
    for (FileChannel channel : all) {
      try {
        channel.close();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
