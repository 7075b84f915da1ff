package io.expertatlas.affinity;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.io.InvalidObjectException;
import java.io.ObjectInputStream;
import java.io.Serial;
import java.io.Serializable;
import java.nio.ShortBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
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
  /** Largest router weight that is counted; keeps the sum of 2^27 tokens inside a long. */
  static final float MAX_WEIGHT = 256;

  private static final int EVEN = 1; // kinds of pairs in the bytes
  private static final int WEIGHTED = 2;

  private final transient ModelShape shape;
  private final transient int spillAt; // tokens after which int counters are moved to long ones
  private final transient SetCode code;
  private final transient long evenUnits; // weight of a pair when there are no router weights

  private transient long tokens;
  private transient int unspilledTokens;
  private transient SpillingCounts firstChoices; // [layer][expert]; null before the first token
  private transient SpillingCounts firstPairs; // [gap][from][to]
  private transient SpillingCounts evenPairs; // [gap][from][to], of tokens without weights, or null
  private transient long[] weightedUnits; // [gap][from][to], of tokens with weights, or null
  private transient List<ExpertSetTable> sets; // [layer]

  private final transient int jointCells; // of a gap, or 0 if pairs of layers are not counted
  private transient JointCounts joint; // tokens that are not in the counts yet; null before one
  private transient LayerLoops loops; // null before they are needed
  private transient short[] block; // [token][layer][rank], scratch

  private transient int[] token; // [layer][rank], scratch
  private transient float[] tokenWeights; // [layer][rank], scratch
  private transient char[] ids; // [rank], scratch
  private transient char[] sorted; // [rank], scratch
  private transient long[] set; // scratch

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
    evenUnits = Math.round((double) Transitions.UNITS / ((long) shape.topK() * shape.topK()));
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
   * @throws IllegalArgumentException if the batch is of another shape, or for the reasons of {@link
   *     #add(int[], float[])}
   */
  public void add(RoutingTrace batch) {
    if (!batch.shape().equals(shape)) {
      throw new IllegalArgumentException(
          "Invalid batch: it is of %s, expected %s".formatted(batch.shape(), shape));
    }

    if (batch.tokens() == 0) {
      return;
    }

    allocate();
    if (!batch.hasWeights()) {
      addBlocks(batch);
      return;
    }

    for (int t = 0; t < batch.tokens(); t++) {
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
   * Counts a batch, which has checked its ids: by pairs of layers if the model is small and the
   * tokens are many, see {@link JointCounts}, else layer by layer.
   */
  private void addBlocks(RoutingTrace batch) {
    boolean jointly = joint != null || jointCells > 0 && batch.tokens() >= jointCells;
    if (jointly && joint == null) {
      joint = JointCounts.of(shape);
    } else if (!jointly && loops == null) {
      loops = new LayerLoops(shape, code);
    }

    if (block == null) {
      block = new short[LayerLoops.BLOCK_TOKENS * shape.choicesPerToken()];
    }

    LayerSelection layers = LayerSelection.all(shape);
    for (int from = 0; from < batch.tokens(); ) {
      if (unspilledTokens == spillAt) {
        spill();
      }

      int some =
          Math.min(
              Math.min(LayerLoops.BLOCK_TOKENS, batch.tokens() - from), spillAt - unspilledTokens);
      batch.copyExperts(from, from + some, layers, ShortBuffer.wrap(block));
      if (jointly) {
        joint.add(block, some);
      } else {
        int[] pairs = evenPairs().recent;
        loops.add(block, some, firstChoices.recent, firstPairs.recent, pairs, sets);
      }

      tokens += some;
      unspilledTokens += some;
      from += some;
    }
  }

  /** Moves what was counted by pairs of layers into the counts. */
  private void fold() {
    if (joint == null || joint.tokens() == 0) {
      return;
    }

    joint.forEach(this::foldGap, this::foldLayer);
    joint.clear();
  }

  private void foldGap(int gap, int[] from, int[] to, int count) {
    int width = shape.experts();
    firstPairs.recent[(gap * width + from[0]) * width + to[0]] += count;
    int[] pairs = evenPairs().recent;
    for (int a : from) {
      for (int b : to) {
        pairs[(gap * width + a) * width + b] += count;
      }
    }
  }

  private void foldLayer(int layer, int[] choices, int count) {
    firstChoices.recent[layer * shape.experts() + choices[0]] += count;
    encode(choices, 0);
    sets.get(layer).add(set, 0, count);
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

    allocate();
    count(experts, weights);
  }

  private void count(int[] experts, float[] weights) {
    if (unspilledTokens == spillAt) {
      spill();
    }

    int k = shape.topK();
    for (int layer = 0; layer < shape.layers(); layer++) {
      int here = layer * k;
      checkRange(layer, experts, here);
      if (!encode(experts, here)) {
        throw repeated(layer, experts, here);
      }

      if (weights.length != 0) {
        checkWeights(layer, weights, here);
      }

      firstChoices.recent[layer * shape.experts() + experts[here]]++;
      sets.get(layer).add(set, 0, 1);
      if (layer > 0) {
        countGap(layer - 1, experts, weights);
      }
    }

    tokens++;
    unspilledTokens++;
  }

  private void countGap(int gap, int[] experts, float[] weights) {
    int k = shape.topK();
    int width = shape.experts();
    int from = gap * k;
    int to = from + k;
    firstPairs.recent[(gap * width + experts[from]) * width + experts[to]]++;
    for (int i = from; i < from + k; i++) {
      int row = (gap * width + experts[i]) * width;
      if (weights.length == 0) {
        int[] pairs = evenPairs().recent;
        for (int j = to; j < to + k; j++) {
          pairs[row + experts[j]]++;
        }
      } else {
        long[] units = weightedUnits();
        double scaled = (double) weights[i] * Transitions.UNITS;
        for (int j = to; j < to + k; j++) {
          units[row + experts[j]] += Math.round(scaled * weights[j]);
        }
      }
    }
  }

  private SpillingCounts evenPairs() {
    if (evenPairs == null) {
      evenPairs = new SpillingCounts(gapCells());
    }

    return evenPairs;
  }

  private long[] weightedUnits() {
    if (weightedUnits == null) {
      weightedUnits = new long[gapCells()];
    }

    return weightedUnits;
  }

  private int gapCells() {
    return (shape.layers() - 1) * shape.experts() * shape.experts();
  }

  /** Puts the code of the ids of a layer into {@link #set}; tells whether they are distinct. */
  private boolean encode(int[] experts, int from) {
    for (int rank = 0; rank < ids.length; rank++) {
      ids[rank] = (char) experts[from + rank];
    }

    return code.encode(ids, 0, sorted, set);
  }

  private void checkRange(int layer, int[] experts, int from) {
    for (int rank = 0; rank < shape.topK(); rank++) {
      int expert = experts[from + rank];
      if (expert < 0 || expert >= shape.experts()) {
        throw new IllegalArgumentException(
            "Invalid expert id %d at layer %d, rank %d: the model has experts 0 to %d"
                .formatted(expert, layer, rank, shape.experts() - 1));
      }
    }
  }

  private IllegalArgumentException repeated(int layer, int[] experts, int from) {
    int[] ascending = Arrays.copyOfRange(experts, from, from + shape.topK());
    Arrays.sort(ascending);
    int at = 1;
    while (ascending[at] != ascending[at - 1]) {
      at++;
    }

    return new IllegalArgumentException(
        "Invalid top-%d at layer %d: expert %d stands twice"
            .formatted(shape.topK(), layer, ascending[at]));
  }

  private void checkWeights(int layer, float[] weights, int from) {
    for (int rank = 0; rank < shape.topK(); rank++) {
      float weight = weights[from + rank];
      if (!(weight >= 0 && weight <= MAX_WEIGHT)) {
        throw new IllegalArgumentException(
            "Invalid router weight %s at layer %d, rank %d: 0 to %s"
                .formatted(weight, layer, rank, MAX_WEIGHT));
      }
    }
  }

  private void allocate() {
    if (firstChoices != null) {
      return;
    }

    firstChoices = new SpillingCounts(shape.totalExperts());
    firstPairs = new SpillingCounts(gapCells());
    sets = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      sets.add(new ExpertSetTable(code, shape.topK()));
    }

    token = new int[shape.choicesPerToken()];
    tokenWeights = new float[shape.choicesPerToken()];
    ids = new char[shape.topK()];
    sorted = new char[shape.topK()];
    set = new long[code.words()];
  }

  private void spill() {
    fold();
    firstChoices.spill();
    firstPairs.spill();
    if (evenPairs != null) {
      evenPairs.spill();
    }

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

    fold();
    other.fold();
    if ((long) unspilledTokens + other.unspilledTokens > spillAt) {
      spill();
      other.spill();
    }

    firstChoices.merge(other.firstChoices);
    firstPairs.merge(other.firstPairs);
    if (other.evenPairs != null) {
      evenPairs().merge(other.evenPairs);
    }

    if (other.weightedUnits != null) {
      long[] units = weightedUnits();
      for (int i = 0; i < units.length; i++) {
        units[i] += other.weightedUnits[i];
      }
    }

    for (int layer = 0; layer < shape.layers(); layer++) {
      sets.get(layer).merge(other.sets.get(layer));
    }

    tokens += other.tokens;
    unspilledTokens += other.unspilledTokens;
    return this;
  }

  /** What has been counted so far. */
  public RouteCounts counts() {
    allocate();
    fold();
    int width = shape.experts();
    long[] together = new long[Math.multiplyExact(shape.totalExperts(), width)];
    List<List<ExpertSet>> sorted = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      int square = layer * width * width;
      sets.get(layer)
          .forEach(
              (set, count) -> {
                for (int a : set) {
                  for (int b : set) {
                    together[square + a * width + b] += count;
                  }
                }
              });
      sorted.add(sets.get(layer).sorted());
    }

    long[] choices = new long[shape.totalExperts()];
    for (int row = 0; row < choices.length; row++) {
      choices[row] = together[row * width + row % width];
    }

    return new RouteCounts(
        shape,
        tokens,
        new Popularity(shape, choices, firstChoices.toArray()),
        new Transitions(shape, firstPairs.toArray(), pairUnits()),
        new Coactivation(shape, together),
        sorted);
  }

  private long[] pairUnits() {
    long[] units = weightedUnits == null ? new long[gapCells()] : weightedUnits.clone();
    if (evenPairs != null) {
      long[] pairs = evenPairs.toArray();
      for (int i = 0; i < units.length; i++) {
        units[i] += evenUnits * pairs[i];
      }
    }

    return units;
  }

  /** The counter as bytes: variable-length integers, runs of zeros as their length. */
  public byte[] toBytes() {
    CompactBytes.Writer out = new CompactBytes.Writer();
    out.integer(shape.layers());
    out.integer(shape.experts());
    out.integer(shape.topK());
    out.integer(tokens);
    if (tokens == 0) {
      return out.toBytes();
    }

    fold();
    out.array(firstChoices.toArray());
    out.array(firstPairs.toArray());
    out.integer((evenPairs == null ? 0 : EVEN) | (weightedUnits == null ? 0 : WEIGHTED));
    if (evenPairs != null) {
      out.array(evenPairs.toArray());
    }

    if (weightedUnits != null) {
      out.array(weightedUnits);
    }

    for (ExpertSetTable table : sets) {
      out.integer(table.size());
      table.forEach(
          (set, count) -> {
            for (char id : set) {
              out.integer(id);
            }

            out.integer(count);
          });
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
    if (counter.tokens == 0) {
      return counter;
    }

    counter.allocate();
    counter.firstChoices.load(in.array(counter.firstChoices.recent.length));
    counter.firstPairs.load(in.array(counter.firstPairs.recent.length));
    long kinds = in.integer();
    if ((kinds & EVEN) != 0) {
      counter.evenPairs().load(in.array(counter.gapCells()));
    }

    if ((kinds & WEIGHTED) != 0) {
      counter.weightedUnits = in.array(counter.gapCells());
    }

    int[] ids = new int[counter.shape.topK()];
    for (int layer = 0; layer < counter.shape.layers(); layer++) {
      long size = in.integer();
      for (long set = 0; set < size; set++) {
        for (int rank = 0; rank < ids.length; rank++) {
          ids[rank] = (int) in.integer();
        }

        counter.checkRange(layer, ids, 0);
        counter.encode(ids, 0);
        counter.sets.get(layer).add(counter.set, 0, in.integer());
      }
    }

    counter.unspilledTokens = (int) Math.min(counter.tokens, counter.spillAt);
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
