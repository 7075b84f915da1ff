package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import java.util.Optional;

/** Reads a range of tokens from the {@code .npy} files of a dump. */
final class DumpReader implements TraceReader {
  private static final int BATCH_CHOICES = 1 << 17; // stays in a core's cache from step to step

  /** Tokens that are read at once if nothing speaks against it. */
  static final int BATCH_TOKENS = 1 << 16;

  private static final float[] NO_WEIGHTS = {};

  private final ModelShape shape;
  private final NpyFile experts;
  private final Optional<NpyFile> weights;
  private final TokenColumns columns;
  private final long to;
  private final int batchTokens;
  private final String advice;
  private long[] buffer = {};
  private long next;

  /**
   * Takes over the open files.
   *
   * @param maxBatch largest number of tokens read at once
   * @param advice what to look at if an id is out of range, after the message
   */
  DumpReader(
      ModelShape shape,
      NpyFile experts,
      Optional<NpyFile> weights,
      TokenColumns columns,
      TokenRange range,
      int maxBatch,
      String advice) {
    this.shape = shape;
    this.experts = experts;
    this.weights = weights;
    this.columns = columns;
    this.advice = advice;
    this.to = Math.min(range.to(), experts.rows());
    this.next = Math.min(range.from(), to);
    this.batchTokens = Math.max(1, Math.min(maxBatch, BATCH_CHOICES / shape.choicesPerToken()));
    if (next < to) {
      columns.start(next);
    }
  }

  /**
   * Checks the type and the axes of a file of choices.
   *
   * @return the shape, {@code [tokens, layers]} or {@code [tokens, layers, k]}
   */
  static ModelShape checkExperts(NpyFile file, int experts) {
    NpyHeader header = file.header();
    if (!file.type().isInteger()) {
      throw new TraceFormatException(
          "Cannot read expert ids from %s: its dtype is '%s' (%s), expected integers. Maybe convert it with array.astype('uint16')"
              .formatted(file.path(), header.descr(), file.type().kind()));
    }

    int axes = header.shape().size();
    if (axes != 2 && axes != 3) {
      throw new TraceFormatException(
          "Invalid shape %s in %s: expected (tokens, layers) or (tokens, layers, k)"
              .formatted(header.shapeText(), file.path()));
    }

    long layers = header.shape().get(1);
    long topK = axes == 3 ? header.shape().get(2) : 1;
    if (layers < 1 || topK < 1 || topK > experts || layers * topK > Integer.MAX_VALUE) {
      throw new TraceFormatException(
          "Invalid shape %s in %s: expected at least 1 layer and top-k from 1 to the number of experts %d"
              .formatted(header.shapeText(), file.path(), experts));
    }

    return new ModelShape((int) layers, experts, (int) topK);
  }

  @Override
  public ModelShape shape() {
    return shape;
  }

  @Override
  public long tokens() {
    return experts.rows();
  }

  @Override
  public boolean hasWeights() {
    return weights.isPresent();
  }

  @Override
  public Optional<RoutingTrace> next() {
    if (next >= to) {
      return Optional.empty();
    }

    int count = (int) Math.min(batchTokens, to - next);
    short[] ids = readExperts(count);
    float[] weight = readWeights(count);
    int[] sequence = new int[count];
    int[] position = new int[count];
    byte[] phase = new byte[count];
    columns.read(next, count, sequence, position, phase);
    RoutingTrace batch;
    try {
      batch = RoutingTrace.of(shape, ids, weight, sequence, position, phase);
    } catch (IllegalArgumentException e) {
      readAnyExperts(ids.length, count); // says which id is out of range, if one is
      throw repeated(ids, e);
    }

    next += count;
    return Optional.of(batch);
  }

  private short[] readExperts(int count) {
    int choices = count * shape.choicesPerToken();
    if (experts.isUnsignedBytes()) {
      short[] ids = new short[choices];
      experts.readUnsignedBytes(next, count, ids);
      return ids; // checked when the batch is made
    }

    return readAnyExperts(choices, count);
  }

  /** Reads ids of any type, and says which is out of range. */
  private short[] readAnyExperts(int choices, int count) {
    if (buffer.length < choices) {
      buffer = new long[choices];
    }

    experts.readIntegers(next, count, buffer);
    short[] ids = new short[choices];
    int bound = shape.experts();
    for (int i = 0; i < choices; i++) {
      long value = buffer[i];
      if (value < 0 || value >= bound) {
        throw new TraceFormatException(
            "Invalid expert id %s in %s at %s: the model has experts 0 to %d%s"
                .formatted(experts.text(value), experts.path(), place(i), bound - 1, advice));
      }

      ids[i] = (short) value;
    }

    return ids;
  }

  private float[] readWeights(int count) {
    if (weights.isEmpty()) {
      return NO_WEIGHTS;
    }

    float[] values = new float[count * shape.choicesPerToken()];
    weights.get().readFloats(next, count, values);
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        throw new TraceFormatException(
            "Invalid router weight %s in %s at %s: it must be finite"
                .formatted(values[i], weights.get().path(), place(i)));
      }
    }

    return values;
  }

  private String place(int choice) {
    int width = shape.choicesPerToken();
    return "token %d, layer %d, rank %d"
        .formatted(
            next + choice / width, choice % width / shape.topK(), choice % width % shape.topK());
  }

  /** Says where an expert stands twice: the trace's own message counts from this batch. */
  private TraceFormatException repeated(short[] ids, IllegalArgumentException cause) {
    int topK = shape.topK();
    for (int at = 0; at < ids.length; at++) {
      for (int before = at - at % topK; before < at; before++) {
        if (ids[before] == ids[at]) {
          return new TraceFormatException(
              "Invalid top-%d in %s at %s: expert %d stands at rank %d too"
                  .formatted(topK, experts.path(), place(at), ids[at] & 0xffff, before % topK),
              cause);
        }
      }
    }

    throw cause; // not a repeated expert: a bug here
  }

  @Override
  public void close() {
    experts.close();
    weights.ifPresent(NpyFile::close);
    columns.close();
  }
}
