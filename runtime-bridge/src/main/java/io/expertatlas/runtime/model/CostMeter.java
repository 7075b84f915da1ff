package io.expertatlas.runtime.model;

import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.HostCopy;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.pipeline.TokenCurve;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Measures what experts of a cache cost on either side, each time another one of those held, so
 * that the processor's caches do not help. Medians, made monotone ({@link TokenCurve}).
 */
final class CostMeter {
  private static final int SAMPLES = 3;
  private static final int WARMING = 8; // calls, so that the JVM has compiled what they do
  private static final int WARMING_ROWS = 16;

  /** More rows are not measured where the CPU takes so many times as long as the link. */
  private static final int FAR_SLOWER = 4;

  private final ExpertCache cache;
  private final HostExperts host;
  private int next;

  private CostMeter(ExpertCache cache, HostExperts host) {
    this.cache = cache;
    this.host = host;
  }

  /** Measures; what was on slots is overwritten. */
  static HostCosts measure(ExpertCache cache, HostExperts host) {
    return new CostMeter(cache, host).measure();
  }

  private HostCosts measure() {
    host.fill();
    double load = TokenCurve.median(samples(this::load));
    for (int i = 0; i < WARMING; i++) {
      compute(Math.min(WARMING_ROWS, host.rows()));
    }

    List<Integer> counts = new ArrayList<>();
    List<double[]> samples = new ArrayList<>();
    int count = 1;
    while (count <= host.rows()) {
      int rows = count;
      counts.add(rows);
      samples.add(samples(() -> compute(rows)));
      boolean isFar = TokenCurve.median(samples.get(samples.size() - 1)) > FAR_SLOWER * load;
      count = isFar ? Integer.MAX_VALUE : 2 * count;
    }

    TokenCurve curve =
        TokenCurve.of(
                counts.stream().mapToInt(rows -> rows).toArray(), samples.toArray(new double[0][]))
            .monotone();
    return new HostCosts(counts, counts.stream().map(curve::nanos).toList(), load);
  }

  /** Times of some calls, behind one that is not measured. */
  private static double[] samples(Runnable work) {
    double[] nanos = new double[SAMPLES];
    for (int i = -1; i < SAMPLES; i++) {
      long start = System.nanoTime();
      work.run();
      if (i >= 0) {
        nanos[i] = Math.max(1, System.nanoTime() - start);
      }
    }

    return nanos;
  }

  private int next() {
    next = (next + 1) % cache.held();
    return next;
  }

  private void load() {
    try (HostCopy copy = cache.load(next())) {
      copy.await();
    }
  }

  private void compute(int rows) {
    ExpertWeights expert = cache.onHost(next(), host.cpu());
    host.compute(List.of(expert), List.of(IntStream.range(0, rows).toArray()));
  }
}
