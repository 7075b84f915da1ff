package io.expertatlas.affinity;

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
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.IntPredicate;
import java.util.function.IntUnaryOperator;

/**
 * Counts all that an {@link AnalysisPlan} asks for, in one pass; counters of parts of a trace
 * {@link #merge} into the counter of the whole, whatever the parts are. Each token is counted once,
 * in its group: the whole is the sum of the groups. Mutable, not safe for several threads.
 */
public final class AnalysisCounter implements Serializable {
  private final transient ModelShape shape;
  private final transient AnalysisPlan plan;
  private final transient long firstToken;
  private final transient TreeMap<Integer, Part> parts = new TreeMap<>(); // by group
  private final transient LocalityCounter locality;
  private transient int currentGroup;
  private transient Part current; // of currentGroup, or null
  private transient int[] experts = {}; // [layer][rank], scratch
  private transient float[] weights = {}; // [layer][rank], scratch

  /** The counters of a group. */
  private static final class Part {
    private final RouteCounter[] routes; // [fold], or one
    private final LagCounter lags;
    private final WindowCounter windows;

    Part(ModelShape shape, AnalysisPlan plan, long firstToken) {
      routes = new RouteCounter[Math.max(1, plan.folds())];
      Arrays.setAll(routes, fold -> new RouteCounter(shape));
      lags = new LagCounter(shape, plan.lags());
      windows = new WindowCounter(shape, Math.max(1, plan.window()), firstToken);
    }

    Part merge(Part other) {
      for (int fold = 0; fold < routes.length; fold++) {
        routes[fold] = routes[fold].merge(other.routes[fold]);
      }

      lags.merge(other.lags);
      windows.merge(other.windows);
      return this;
    }
  }

  /**
   * Creates a counter of no tokens.
   *
   * @param firstToken index of the first selected token, where the first window begins
   * @throws IllegalArgumentException if the model is too large for dense counts, or the plan does
   *     not fit it
   */
  public AnalysisCounter(ModelShape shape, AnalysisPlan plan, long firstToken) {
    this.shape = Objects.requireNonNull(shape, "shape is null");
    this.plan = Objects.requireNonNull(plan, "plan is null");
    this.firstToken = firstToken;
    new RouteCounter(shape); // refuses what is too large
    plan.check(shape, 1);
    locality = new LocalityCounter(shape);
  }

  /** Number of tokens counted. */
  public long tokens() {
    long tokens = 0;
    for (Part part : parts.values()) {
      for (RouteCounter fold : part.routes) {
        tokens += fold.tokens();
      }
    }

    return tokens;
  }

  /**
   * Counts the tokens of a batch whose sequence passes the test.
   *
   * @param first index of the batch's first token in the trace
   * @throws IllegalArgumentException for the reasons of {@link #add(long, int, int, int[],
   *     float[])}
   */
  public void add(long first, RoutingTrace batch, IntPredicate sequences) {
    if (plan.countsRoutesOnly()) {
      forEachSequence(
          batch.tokens(),
          batch::sequence,
          sequences,
          (routes, from, to) -> routes.add(batch, from, to));
      return;
    }

    if (experts.length == 0) {
      experts = new int[shape.choicesPerToken()];
      weights = new float[batch.hasWeights() ? experts.length : 0];
    }

    for (int t = 0; t < batch.tokens(); t++) {
      if (!sequences.test(batch.sequence(t))) {
        skip(first + t);
        continue;
      }

      int at = 0;
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          experts[at] = batch.expert(t, layer, rank);
          if (weights.length > 0) {
            weights[at] = batch.weight(t, layer, rank);
          }

          at++;
        }
      }

      add(first + t, batch.sequence(t), batch.phase(t).code(), experts, weights);
    }
  }

  /**
   * Counts the routes of tokens without router weights whose sequence passes the test, for a plan
   * that {@link AnalysisPlan#countsRoutesOnly}.
   *
   * @param sequence {@code [token]} sequence ids
   * @param choices {@code [token][layer][rank]} unsigned ids that are known to be in range; whole
   *     tokens from its position to its limit
   * @throws IllegalArgumentException if a token names an expert twice in a layer, maybe one of an
   *     earlier call; {@link #complete} tells of the last ones
   */
  public void addRoutes(ShortBuffer choices, IntUnaryOperator sequence, IntPredicate sequences) {
    int width = shape.choicesPerToken();
    forEachSequence(
        choices.remaining() / width,
        sequence,
        sequences,
        (routes, from, to) -> routes.add(choices.slice(from * width, (to - from) * width)));
  }

  /** Takes tokens that stand together and belong to one counter. */
  private interface Run {
    void accept(RouteCounter routes, int from, int to);
  }

  private void forEachSequence(int tokens, IntUnaryOperator sequence, IntPredicate kept, Run run) {
    RouteCounter[] routes = part(0).routes;
    for (int from = 0; from < tokens; ) {
      int id = sequence.applyAsInt(from);
      int to = from + 1;
      while (to < tokens && sequence.applyAsInt(to) == id) {
        to++;
      }

      if (kept.test(id)) {
        run.accept(routes[plan.fold(id)], from, to);
      }

      from = to;
    }
  }

  /**
   * Counts what {@link #addRoutes} keeps for later.
   *
   * @throws IllegalArgumentException if a token names an expert twice in a layer
   */
  public void complete() {
    for (Part part : parts.values()) {
      for (RouteCounter fold : part.routes) {
        fold.complete();
      }
    }
  }

  /**
   * Counts one token. After an exception the counter must not be used any more.
   *
   * @param token its index in the trace; any value if the plan is plain
   * @param experts {@code [layer][rank]} its choices
   * @param routerWeights {@code [layer][rank]}, or empty
   * @throws IllegalArgumentException for the reasons of {@link RouteCounter#add(int[], float[])},
   *     if its sequence has no group, or there are too many groups or windows
   */
  public void add(long token, int sequence, int phase, int[] experts, float[] routerWeights) {
    int group = plan.groups().of(sequence, phase);
    Part part = part(group);
    part.routes[plan.fold(sequence)].add(experts, routerWeights);
    part.lags.add(experts);
    if (plan.window() > 0) {
      part.windows.add(token, experts);
    }

    if (plan.locality()) {
      locality.add(token, sequence, group, experts);
    }
  }

  /** Sees a token that is not selected. */
  public void skip(long token) {
    if (plan.locality()) {
      locality.skip(token);
    }
  }

  private Part part(int group) {
    if (current != null && group == currentGroup) {
      return current;
    }

    Part part = parts.get(group);
    if (part == null) {
      part = new Part(shape, plan, firstToken);
      put(group, part);
    }

    currentGroup = group;
    current = part;
    return part;
  }

  private void put(int group, Part part) {
    if (parts.size() == TokenGroups.MAX_GROUPS) {
      throw new IllegalArgumentException(
          "more than %d groups by %s. Maybe select some with --sequences"
              .formatted(TokenGroups.MAX_GROUPS, plan.groups()));
    }

    plan.check(shape, parts.size() + 1);
    parts.put(group, part);
  }

  /**
   * Adds what another counter of the same model and plan has counted; the other must not be used
   * any more.
   */
  public AnalysisCounter merge(AnalysisCounter other) {
    for (Map.Entry<Integer, Part> entry : other.parts.entrySet()) {
      Part own = parts.get(entry.getKey());
      if (own == null) {
        put(entry.getKey(), entry.getValue());
      } else {
        own.merge(entry.getValue());
      }
    }

    locality.merge(other.locality);
    return this;
  }

  /** What has been counted; the counter must not be used any more. */
  public TraceAnalysis finish() {
    Map<Integer, LocalitySums> reuse = locality.finish();
    List<AnalysisPart> groups = new ArrayList<>();
    Part sum = new Part(shape, plan, firstToken);
    LocalitySums reuseSum = new LocalitySums(shape);
    while (!parts.isEmpty()) {
      Map.Entry<Integer, Part> entry = parts.pollFirstEntry(); // its counters are freed
      LocalitySums own = reuse.getOrDefault(entry.getKey(), new LocalitySums(shape));
      if (!plan.groups().isNone()) {
        groups.add(part(plan.groups().name(entry.getKey()), entry.getValue(), own));
      }

      sum.merge(entry.getValue());
      reuseSum.add(own);
    }

    List<RouteCounts> folds = new ArrayList<>();
    for (RouteCounter fold : sum.routes) {
      if (plan.folds() > 0) {
        folds.add(fold.counts());
      }
    }

    return new TraceAnalysis(plan, part("all", sum, reuseSum), groups, folds);
  }

  private AnalysisPart part(String name, Part part, LocalitySums reuse) {
    RouteCounter all = part.routes[0];
    for (int fold = 1; fold < part.routes.length; fold++) {
      all = all.merge(part.routes[fold]);
    }

    RouteCounts counts = all.counts();
    List<LagTransitions> lags = new ArrayList<>();
    if (plan.lags().contains(1)) {
      lags.add(LagTransitions.of(counts.transitions()));
    }

    lags.addAll(part.lags.transitions());
    return new AnalysisPart(
        name,
        counts,
        lags,
        plan.window() > 0 ? part.windows.counts() : WindowCounts.none(shape),
        new Locality(reuse));
  }

  @Serial
  private Object writeReplace() {
    CompactBytes.Writer out = new CompactBytes.Writer();
    out.integer(parts.size());
    parts.forEach(
        (group, part) -> {
          out.integer(group & 0xffffffffL);
          for (RouteCounter fold : part.routes) {
            out.bytes(fold.toBytes());
          }

          part.lags.write(out);
          part.windows.write(out);
        });
    locality.write(out);
    return new Encoded(
        shape.layers(), shape.experts(), shape.topK(), plan, firstToken, out.toBytes());
  }

  @Serial
  private void readObject(ObjectInputStream in) throws InvalidObjectException {
    throw new InvalidObjectException("An AnalysisCounter travels as its bytes");
  }

  /** What travels between machines. */
  private record Encoded(
      int layers, int experts, int topK, AnalysisPlan plan, long firstToken, byte[] bytes)
      implements Serializable {
    @Serial
    private Object readResolve() {
      AnalysisCounter counter =
          new AnalysisCounter(new ModelShape(layers, experts, topK), plan, firstToken);
      CompactBytes.Reader in = new CompactBytes.Reader(bytes);
      long size = in.integer();
      for (long i = 0; i < size; i++) {
        int group = (int) in.integer();
        Part part = counter.part(group);
        for (int fold = 0; fold < part.routes.length; fold++) {
          part.routes[fold] = RouteCounter.fromBytes(in.bytes());
        }

        part.lags.read(in);
        part.windows.read(in);
      }

      counter.locality.read(in);
      return counter;
    }
  }
}
