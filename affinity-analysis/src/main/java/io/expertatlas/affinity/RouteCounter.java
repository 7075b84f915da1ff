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
 * <p>Memory in bytes, for L layers, E experts and D distinct top-k sets: about {@code 12 (L-1) E^2
 * + 2 L E^2 + (2k + 20) D}; nothing before the first token. A token costs {@code O(L k^2)}; without
 * router weights and with few experts {@code O(L k)}, for at most 64 KiB a gap more.
 */
public final class RouteCounter implements Serializable {
  /** Largest router weight that is counted; keeps the sum of 2^27 tokens inside a long. */
  static final float MAX_WEIGHT = 256;

  private static final float[] NO_WEIGHTS = {};
  private static final int INSERTION_SORT_LIMIT = 24;
  private static final int BLOCK_CHOICES = 1 << 13;

  private final transient ModelShape shape;
  private final transient int spillAt; // tokens after which int counters are moved to long ones
  private final transient int triangle; // pairs of two experts of a layer
  private final transient long evenUnits; // weight of a pair when there are no router weights

  private transient long tokens;
  private transient int unspilledTokens;
  private transient SpillingCounts choices; // [layer][expert]; null before the first token
  private transient SpillingCounts firstChoices; // [layer][expert]
  private transient SpillingCounts firstPairs; // [gap][from][to]
  private transient long[] pairUnits; // [gap][from][to]
  private transient SpillingCounts together; // [layer][other * (other - 1) / 2 + expert]
  private transient List<ExpertSetTable> sets; // [layer]

  private final transient int jointCells; // of a gap, or 0 if pairs of layers are not counted
  private transient JointCounts joint; // tokens that are not in the counts yet; null before one
  private transient short[] block; // [token][layer][rank], scratch

  private transient int[] token; // [layer][rank], scratch
  private transient float[] tokenWeights; // [layer][rank], scratch
  private transient char[] ascending; // [rank], scratch

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
    triangle = (int) ((long) shape.experts() * (shape.experts() - 1) / 2);
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
    boolean weighted = batch.hasWeights();
    if (!weighted && (joint != null || batch.tokens() >= jointCells && jointCells > 0)) {
      addJointly(batch);
      return;
    }

    for (int t = 0; t < batch.tokens(); t++) {
      int at = 0;
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          token[at] = batch.expert(t, layer, rank);
          if (weighted) {
            tokenWeights[at] = batch.weight(t, layer, rank);
          }

          at++;
        }
      }

      count(token, weighted ? tokenWeights : NO_WEIGHTS);
    }
  }

  /** Counts a batch, which has checked its ids, by pairs of layers; see {@link JointCounts}. */
  private void addJointly(RoutingTrace batch) {
    if (joint == null) {
      joint = JointCounts.of(shape);
      block =
          new short[Math.max(1, BLOCK_CHOICES / shape.choicesPerToken()) * shape.choicesPerToken()];
    }

    LayerSelection layers = LayerSelection.all(shape);
    int most = block.length / shape.choicesPerToken();
    for (int from = 0; from < batch.tokens(); ) {
      if (unspilledTokens == spillAt) {
        spill();
      }

      int some = Math.min(Math.min(most, batch.tokens() - from), spillAt - unspilledTokens);
      batch.copyExperts(from, from + some, layers, ShortBuffer.wrap(block));
      joint.add(block, some);
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
    for (int a : from) {
      for (int b : to) {
        pairUnits[(gap * width + a) * width + b] += evenUnits * count;
      }
    }
  }

  private void foldLayer(int layer, int[] ids, int count) {
    int row = layer * shape.experts();
    sort(ids, 0);
    firstChoices.recent[row + ids[0]] += count;
    for (int i = 0; i < ids.length; i++) {
      int expert = ascending[i];
      choices.recent[row + expert] += count;
      for (int j = 0; j < i; j++) {
        together.recent[layer * triangle + expert * (expert - 1) / 2 + ascending[j]] += count;
      }
    }

    sets.get(layer).add(ascending, 0, count);
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
    int width = shape.experts();
    for (int layer = 0; layer < shape.layers(); layer++) {
      int here = layer * k;
      sort(experts, here);
      checkSet(layer, experts, here);
      if (weights.length != 0) {
        checkWeights(layer, weights, here);
      }

      int row = layer * width;
      firstChoices.recent[row + experts[here]]++;
      int cell = layer * triangle;
      for (int i = 0; i < k; i++) {
        int expert = ascending[i];
        choices.recent[row + expert]++;
        int pairs = cell + expert * (expert - 1) / 2;
        for (int j = 0; j < i; j++) {
          together.recent[pairs + ascending[j]]++;
        }
      }

      sets.get(layer).add(ascending, 0, 1);
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
        for (int j = to; j < to + k; j++) {
          pairUnits[row + experts[j]] += evenUnits;
        }
      } else {
        double scaled = (double) weights[i] * Transitions.UNITS;
        for (int j = to; j < to + k; j++) {
          pairUnits[row + experts[j]] += Math.round(scaled * weights[j]);
        }
      }
    }
  }

  /** Puts the ids of a layer into {@link #ascending}. */
  private void sort(int[] experts, int from) {
    int k = shape.topK();
    if (k > INSERTION_SORT_LIMIT) {
      for (int i = 0; i < k; i++) {
        ascending[i] = (char) experts[from + i];
      }

      Arrays.sort(ascending);
      return;
    }

    for (int i = 0; i < k; i++) {
      char id = (char) experts[from + i];
      int at = i;
      while (at > 0 && ascending[at - 1] > id) {
        ascending[at] = ascending[at - 1];
        at--;
      }

      ascending[at] = id;
    }
  }

  private void checkSet(int layer, int[] experts, int from) {
    for (int rank = 0; rank < shape.topK(); rank++) {
      int expert = experts[from + rank];
      if (expert < 0 || expert >= shape.experts()) {
        throw new IllegalArgumentException(
            "Invalid expert id %d at layer %d, rank %d: the model has experts 0 to %d"
                .formatted(expert, layer, rank, shape.experts() - 1));
      }

      if (rank > 0 && ascending[rank] == ascending[rank - 1]) {
        throw new IllegalArgumentException(
            "Invalid top-%d at layer %d: expert %d stands twice"
                .formatted(shape.topK(), layer, (int) ascending[rank]));
      }
    }
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
    if (choices != null) {
      return;
    }

    int gapCells = (shape.layers() - 1) * shape.experts() * shape.experts();
    choices = new SpillingCounts(shape.totalExperts());
    firstChoices = new SpillingCounts(shape.totalExperts());
    firstPairs = new SpillingCounts(gapCells);
    pairUnits = new long[gapCells];
    together = new SpillingCounts(shape.layers() * triangle);
    sets = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      sets.add(new ExpertSetTable(shape.topK()));
    }

    token = new int[shape.choicesPerToken()];
    tokenWeights = new float[shape.choicesPerToken()];
    ascending = new char[shape.topK()];
  }

  private void spill() {
    fold();
    for (SpillingCounts counts : List.of(choices, firstChoices, firstPairs, together)) {
      counts.spill();
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

    choices.merge(other.choices);
    firstChoices.merge(other.firstChoices);
    firstPairs.merge(other.firstPairs);
    together.merge(other.together);
    for (int i = 0; i < pairUnits.length; i++) {
      pairUnits[i] += other.pairUnits[i];
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
    long[] anyRank = choices.toArray();
    Coactivation coactivation =
        new Coactivation(shape, CoactivationSquare.of(shape, anyRank, together.toArray()));
    List<List<ExpertSet>> sorted = new ArrayList<>();
    for (ExpertSetTable table : sets) {
      sorted.add(table.sorted());
    }

    return new RouteCounts(
        shape,
        tokens,
        new Popularity(shape, anyRank, firstChoices.toArray()),
        new Transitions(shape, firstPairs.toArray(), pairUnits),
        coactivation,
        sorted);
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
    out.array(choices.toArray());
    out.array(firstChoices.toArray());
    out.array(firstPairs.toArray());
    out.array(pairUnits);
    out.array(together.toArray());
    for (ExpertSetTable table : sets) {
      out.integer(table.size());
      for (int set = 0; set < table.size(); set++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          out.integer(table.id(set, rank));
        }

        out.integer(table.tokens(set));
      }
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
    counter.choices.load(in.array(counter.choices.recent.length));
    counter.firstChoices.load(in.array(counter.firstChoices.recent.length));
    counter.firstPairs.load(in.array(counter.firstPairs.recent.length));
    counter.pairUnits = in.array(counter.pairUnits.length);
    counter.together.load(in.array(counter.together.recent.length));
    for (ExpertSetTable table : counter.sets) {
      long size = in.integer();
      for (long set = 0; set < size; set++) {
        for (int rank = 0; rank < counter.shape.topK(); rank++) {
          counter.ascending[rank] = (char) in.integer();
        }

        table.add(counter.ascending, 0, in.integer());
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
