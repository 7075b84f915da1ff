package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.List;

/** Counts first choices some layers apart; lag 1 is left to {@link RouteCounter}. Mutable. */
final class LagCounter {
  private final ModelShape shape;
  private final int[] lags; // above 1
  private final SpillingCounts[] counts; // [lag][start][from][to]
  private int unspilledTokens;

  LagCounter(ModelShape shape, List<Integer> lags) {
    this.shape = shape;
    this.lags = lags.stream().mapToInt(Integer::intValue).filter(lag -> lag > 1).toArray();
    counts = new SpillingCounts[this.lags.length];
    for (int i = 0; i < counts.length; i++) {
      counts[i] =
          new SpillingCounts(
              Math.multiplyExact(
                  (shape.layers() - this.lags[i]) * shape.experts(), shape.experts()));
    }
  }

  void add(int[] experts) {
    if (unspilledTokens == Integer.MAX_VALUE) {
      spill();
    }

    unspilledTokens++;
    int width = shape.experts();
    int k = shape.topK();
    for (int i = 0; i < lags.length; i++) {
      int[] recent = counts[i].recent;
      int ahead = lags[i] * k;
      for (int start = 0, at = 0; start < shape.layers() - lags[i]; start++, at += k) {
        recent[(start * width + experts[at]) * width + experts[at + ahead]]++;
      }
    }
  }

  private void spill() {
    for (SpillingCounts lag : counts) {
      lag.spill();
    }

    unspilledTokens = 0;
  }

  void merge(LagCounter other) {
    if ((long) unspilledTokens + other.unspilledTokens > Integer.MAX_VALUE) {
      spill();
      other.spill();
    }

    for (int i = 0; i < counts.length; i++) {
      counts[i].merge(other.counts[i]);
    }

    unspilledTokens += other.unspilledTokens;
  }

  List<LagTransitions> transitions() {
    List<LagTransitions> all = new ArrayList<>();
    for (int i = 0; i < counts.length; i++) {
      all.add(new LagTransitions(shape, lags[i], counts[i].toArray()));
    }

    return all;
  }

  void write(CompactBytes.Writer out) {
    out.integer(unspilledTokens);
    for (SpillingCounts lag : counts) {
      out.array(lag.toArray());
    }
  }

  void read(CompactBytes.Reader in) {
    unspilledTokens = (int) in.integer();
    for (SpillingCounts lag : counts) {
      lag.load(in.array(lag.recent.length));
    }
  }
}
