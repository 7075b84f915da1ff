package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.List;

/**
 * The counts of {@link RouteCounter}, who fills them: dense arrays and the distinct sets of each
 * layer. All are sums of integers, so the order of merges makes no difference. Mutable, not safe
 * for several threads.
 */
final class RouteTables {
  private static final int EVEN = 1; // kinds of pairs in the bytes
  private static final int WEIGHTED = 2;

  private final ModelShape shape;
  private final SetCode code;
  private final SpillingCounts firstChoices; // [layer][expert]
  private final SpillingCounts firstPairs; // [gap][from][to]
  private SpillingCounts evenPairs; // [gap][from][to], of tokens without weights, or null
  private long[] weightedUnits; // [gap][from][to], of tokens with weights, or null
  private final List<ExpertSetTable> sets = new ArrayList<>(); // [layer]

  RouteTables(ModelShape shape, SetCode code) {
    this.shape = shape;
    this.code = code;
    firstChoices = new SpillingCounts(shape.totalExperts());
    firstPairs = new SpillingCounts(gapCells());
    for (int layer = 0; layer < shape.layers(); layer++) {
      sets.add(new ExpertSetTable(code, shape.topK()));
    }
  }

  private int gapCells() {
    return (shape.layers() - 1) * shape.experts() * shape.experts();
  }

  /** Recent first choices, {@code [layer][expert]}. */
  int[] firstChoices() {
    return firstChoices.recent;
  }

  /** Recent pairs of first choices, {@code [gap][from][to]}. */
  int[] firstPairs() {
    return firstPairs.recent;
  }

  /** Recent pairs of choices of tokens without router weights, {@code [gap][from][to]}. */
  int[] evenPairs() {
    if (evenPairs == null) {
      evenPairs = new SpillingCounts(gapCells());
    }

    return evenPairs.recent;
  }

  /** Weight of pairs of choices of tokens with router weights, {@code [gap][from][to]}. */
  long[] weightedUnits() {
    if (weightedUnits == null) {
      weightedUnits = new long[gapCells()];
    }

    return weightedUnits;
  }

  /** The distinct sets, {@code [layer]}. */
  List<ExpertSetTable> sets() {
    return sets;
  }

  /** Makes room in the recent counts. */
  void spill() {
    firstChoices.spill();
    firstPairs.spill();
    if (evenPairs != null) {
      evenPairs.spill();
    }
  }

  /** Adds the counts of the same shape whose recent parts do not overflow together with these. */
  void merge(RouteTables other) {
    firstChoices.merge(other.firstChoices);
    firstPairs.merge(other.firstPairs);
    if (other.evenPairs != null) {
      evenPairs();
      evenPairs.merge(other.evenPairs);
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
  }

  /** What has been counted, of so many tokens. */
  RouteCounts counts(long tokens) {
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

  /** Without router weights, each pair of choices has the same weight. */
  private long[] pairUnits() {
    long[] units = weightedUnits == null ? new long[gapCells()] : weightedUnits.clone();
    if (evenPairs != null) {
      long evenUnits =
          Math.round((double) Transitions.UNITS / ((long) shape.topK() * shape.topK()));
      long[] pairs = evenPairs.toArray();
      for (int i = 0; i < units.length; i++) {
        units[i] += evenUnits * pairs[i];
      }
    }

    return units;
  }

  void write(CompactBytes.Writer out) {
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
  }

  /**
   * The counts that {@link #write} wrote.
   *
   * @throws IllegalArgumentException if an id is out of range, or the bytes end
   */
  static RouteTables read(ModelShape shape, SetCode code, CompactBytes.Reader in) {
    RouteTables tables = new RouteTables(shape, code);
    tables.firstChoices.load(in.array(shape.totalExperts()));
    tables.firstPairs.load(in.array(tables.gapCells()));
    long kinds = in.integer();
    if ((kinds & EVEN) != 0) {
      tables.evenPairs();
      tables.evenPairs.load(in.array(tables.gapCells()));
    }

    if ((kinds & WEIGHTED) != 0) {
      tables.weightedUnits = in.array(tables.gapCells());
    }

    char[] ids = new char[shape.topK()];
    char[] sorted = new char[ids.length];
    long[] set = new long[code.words()];
    for (ExpertSetTable table : tables.sets) {
      for (long left = in.integer(); left > 0; left--) {
        for (int rank = 0; rank < ids.length; rank++) {
          long id = in.integer();
          if (id < 0 || id >= shape.experts()) {
            throw new IllegalArgumentException(
                "Invalid route counter: expert id %d, below %d".formatted(id, shape.experts()));
          }

          ids[rank] = (char) id;
        }

        code.encode(ids, 0, sorted, set);
        table.add(set, 0, in.integer());
      }
    }

    return tables;
  }
}
