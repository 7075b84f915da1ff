package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.io.InvalidObjectException;
import java.io.ObjectInputStream;
import java.io.Serial;
import java.io.Serializable;
import java.nio.ShortBuffer;
import java.util.Objects;

/**
 * Counts the routes of tokens, in one pass, into dense arrays; counters of parts of a trace {@link
 * #merge} into the counter of the whole. All sums are of integers, so the order of tokens and of
 * merges makes no difference. Mutable, not safe for several threads.
 *
 * <p>Memory in bytes, for L layers, E experts and D distinct top-k sets: about {@code 8 (L-1) E^2 +
 * 30 D}, with router weights {@code 12 (L-1) E^2 + 30 D}; nothing before the first token. A token
 * costs {@code O(L k^2)}; without router weights and with few experts {@code O(L k)}, for at most
 * 64 KiB a gap more. Popularity and co-activation are not counted: they follow from the sets.
 */
public final class RouteCounter implements Serializable {
  private final transient ModelShape shape;
  private final transient int spillAt; // tokens after which int counters are moved to long ones
  private final transient SetCode code;
  private final transient int jointCells; // of a gap, or 0 if pairs of layers are not counted

  private transient long tokens;
  private transient int unspilledTokens;
  private transient RouteTables tables; // null before the first token
  private transient JointCounts joint; // tokens that are not in the tables yet; null before one
  private transient LayerLoops loops; // null before they are needed
  private final transient SingleTokens singles;
  private transient short[] block; // [token][layer][rank], tokens that are not counted yet, or null
  private transient int blockTokens; // in the block

  private transient int[] token; // [layer][rank], scratch
  private transient float[] tokenWeights; // [layer][rank], scratch

  /**
   * Creates a counter of no tokens.
   *
   * @throws IllegalArgumentException if the transitions of the shape, {@code (layers - 1) *
   *     experts^2}, are more than an array can hold
   */
  public RouteCounter(ModelShape shape) {
    this(shape, Integer.MAX_VALUE);
  }

  RouteCounter(ModelShape shape, int spillAt) {
    this.shape = Objects.requireNonNull(shape, "shape is null");
    this.spillAt = spillAt;
    long cells = (long) shape.layers() * shape.experts() * shape.experts();
    if (cells > Integer.MAX_VALUE - 8) {
      throw new IllegalArgumentException(
          "Cannot count the routes of %s: %d transitions, at most %d"
              .formatted(shape, cells, Integer.MAX_VALUE - 8));
    }

    jointCells = JointCounts.cells(shape);
    code = new SetCode(shape);
    singles = new SingleTokens(shape, code);
  }

  /** The shape of the model. */
  public ModelShape shape() {
    return shape;
  }

  /** Number of tokens counted. */
  public long tokens() {
    return tokens;
  }

  /**
   * Counts every token of a batch.
   *
   * @throws IllegalArgumentException if the batch is of another shape, or a router weight is not in
   *     0 to 256
   */
  public void add(RoutingTrace batch) {
    add(batch, 0, batch.tokens());
  }

  /** Counts tokens {@code from} (inclusive) to {@code to} (exclusive); see {@link #add}. */
  void add(RoutingTrace batch, int from, int to) {
    if (!batch.shape().equals(shape)) {
      throw new IllegalArgumentException(
          "Invalid batch: it is of %s, expected %s".formatted(batch.shape(), shape));
    }

    if (!batch.hasWeights()) {
      add(batch.experts(from, to));
      return;
    }

    if (token == null) {
      token = new int[shape.choicesPerToken()];
      tokenWeights = new float[token.length];
    }

    for (int t = from; t < to; t++) {
      int at = 0;
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          token[at] = batch.expert(t, layer, rank);
          tokenWeights[at] = batch.weight(t, layer, rank);
          at++;
        }
      }

      count(token, tokenWeights);
    }
  }

  /**
   * Counts tokens without router weights, a block of them at a time: by pairs of layers if the
   * model is small and the tokens are many, see {@link JointCounts}, else layer by layer.
   *
   * @param choices {@code [token][layer][rank]} unsigned ids that are known to be in range; whole
   *     tokens from its position to its limit
   * @throws IllegalArgumentException if a token names an expert twice in a layer, maybe one of an
   *     earlier call; {@link #complete} tells of the last ones. The counter must then not be used
   *     any more
   */
  void add(ShortBuffer choices) {
    int width = shape.choicesPerToken();
    int blockLimit = Math.min(LayerLoops.BLOCK_TOKENS, spillAt);
    if (block == null && choices.hasRemaining()) {
      block = new short[blockLimit * width];
    }

    while (choices.hasRemaining()) {
      int some = Math.min(blockLimit - blockTokens, choices.remaining() / width);
      choices.get(block, blockTokens * width, some * width);
      blockTokens += some;
      tokens += some;
      if (blockTokens == blockLimit) {
        countBlock();
      }
    }
  }

  private void countBlock() {
    if (blockTokens == 0) {
      return;
    }

    if (unspilledTokens > spillAt - blockTokens) {
      spill();
    }

    RouteTables into = tables();
    if (jointCells > 0 && (joint != null || tokens >= jointCells)) {
      if (joint == null) {
        joint = JointCounts.of(shape);
      }

      joint.add(block, blockTokens);
    } else {
      if (loops == null) {
        loops = new LayerLoops(shape, code);
      }

      loops.add(block, blockTokens, into);
    }

    unspilledTokens += blockTokens;
    blockTokens = 0;
  }

  /**
   * Counts what {@link #add(ShortBuffer)} keeps for the next block.
   *
   * @throws IllegalArgumentException if a token names an expert twice in a layer
   */
  void complete() {
    countBlock();
    if (joint != null && joint.tokens() > 0) {
      joint.forEach(this::foldGap, this::foldLayer);
      joint.clear();
    }
  }

  private void foldGap(int gap, int[] from, int[] to, int count) {
    int width = shape.experts();
    tables.firstPairs()[(gap * width + from[0]) * width + to[0]] += count;
    int[] pairs = tables.evenPairs();
    for (int a : from) {
      for (int b : to) {
        pairs[(gap * width + a) * width + b] += count;
      }
    }
  }

  private void foldLayer(int layer, int[] choices, int count) {
    tables.firstChoices()[layer * shape.experts() + choices[0]] += count;
    singles.addSet(layer, choices, 0, count, tables);
  }

  /**
   * Counts one token. After an exception the counter must not be used any more.
   *
   * @param experts {@code [layer][rank]} its choices
   * @param weights {@code [layer][rank]} its router weights, or empty if the trace has none
   * @throws IllegalArgumentException if an array has another length, an id is out of range or
   *     stands twice in a layer, or a weight is not in 0 to 256
   */
  public void add(int[] experts, float[] weights) {
    if (experts.length != shape.choicesPerToken()
        || weights.length != 0 && weights.length != experts.length) {
      throw new IllegalArgumentException(
          "Invalid token: %d choices and %d weights, expected %d"
              .formatted(experts.length, weights.length, shape.choicesPerToken()));
    }

    count(experts, weights);
  }

  private void count(int[] experts, float[] weights) {
    if (unspilledTokens == spillAt) {
      spill();
    }

    singles.add(experts, weights, tables());
    tokens++;
    unspilledTokens++;
  }

  private RouteTables tables() {
    if (tables == null) {
      tables = new RouteTables(shape, code);
    }

    return tables;
  }

  /** Makes room for the next block; what is in it stays. */
  private void spill() {
    if (joint != null && joint.tokens() > 0) {
      joint.forEach(this::foldGap, this::foldLayer);
      joint.clear();
    }

    tables.spill();
    unspilledTokens = 0;
  }

  /**
   * Adds what another counter has counted.
   *
   * @return the counter that now holds both: this one, or the other if this one is empty; the other
   *     must not be used any more
   * @throws IllegalArgumentException if the other is of another shape
   */
  public RouteCounter merge(RouteCounter other) {
    if (!shape.equals(other.shape)) {
      throw new IllegalArgumentException(
          "Cannot merge the routes of %s with those of %s".formatted(shape, other.shape));
    }

    if (other.tokens == 0) {
      return this;
    }

    if (tokens == 0) {
      return other;
    }

    complete();
    other.complete();
    if ((long) unspilledTokens + other.unspilledTokens > spillAt) {
      spill();
      other.spill();
    }

    tables.merge(other.tables);
    tokens += other.tokens;
    unspilledTokens += other.unspilledTokens;
    return this;
  }

  /** What has been counted so far. */
  public RouteCounts counts() {
    complete();
    return tables().counts(tokens);
  }

  /** The counter as bytes: variable-length integers, runs of zeros as their length. */
  public byte[] toBytes() {
    CompactBytes.Writer out = new CompactBytes.Writer();
    out.integer(shape.layers());
    out.integer(shape.experts());
    out.integer(shape.topK());
    out.integer(tokens);
    if (tokens > 0) {
      complete();
      tables.write(out);
    }

    return out.toBytes();
  }

  /**
   * The counter of which {@link #toBytes} made the bytes.
   *
   * @throws IllegalArgumentException if the bytes are of nothing of the kind
   */
  public static RouteCounter fromBytes(byte[] bytes) {
    CompactBytes.Reader in = new CompactBytes.Reader(bytes);
    RouteCounter counter =
        new RouteCounter(
            new ModelShape((int) in.integer(), (int) in.integer(), (int) in.integer()));
    counter.tokens = in.integer();
    if (counter.tokens > 0) {
      counter.tables = RouteTables.read(counter.shape, counter.code, in);
      counter.unspilledTokens = (int) Math.min(counter.tokens, counter.spillAt);
    }

    return counter;
  }

  @Serial
  private Object writeReplace() {
    return new Encoded(toBytes());
  }

  @Serial
  private void readObject(ObjectInputStream in) throws InvalidObjectException {
    throw new InvalidObjectException("A RouteCounter travels as its bytes");
  }

  /** What travels between machines. */
  private record Encoded(byte[] bytes) implements Serializable {
    @Serial
    private Object readResolve() {
      return fromBytes(bytes);
    }
  }
}
