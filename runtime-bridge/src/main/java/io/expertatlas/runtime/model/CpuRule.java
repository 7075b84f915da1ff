package io.expertatlas.runtime.model;

import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.LayerDemand;
import io.expertatlas.runtime.pipeline.TokenCurve;
import java.util.Arrays;
import java.util.SplittableRandom;

/** Which of a layer's experts that are missing on the device the CPU of the host computes. */
@FunctionalInterface
public interface CpuRule {
  /** None of them. */
  CpuRule NONE = (rows, underWay, most) -> new Share(0, 0);

  /**
   * A decision.
   *
   * @param onCpu how many the CPU computes: those of fewest rows
   * @param spareCopies experts, or a part of one, that the link could copy beside, until the CPU is
   *     done
   */
  record Share(int onCpu, double spareCopies) {}

  /**
   * Decides for a step of a layer.
   *
   * @param rows of each missing expert, rising
   * @param underWay experts that the link has yet to copy whatever is decided, or a part of one
   * @param most how many may stay on the CPU
   */
  Share share(int[] rows, double underWay, int most);

  /**
   * As many as make the longer of CPU and link end first; of equals the fewest ({@link
   * AffinityPolicy#MIN_MAX}).
   */
  static CpuRule minMax(HostCosts costs) {
    int[] counts = costs.rows().stream().mapToInt(count -> count).toArray();
    double[][] samples =
        costs.cpuNanos().stream().map(time -> new double[] {time}).toArray(double[][]::new);
    TokenCurve cpu = TokenCurve.of(counts, samples);
    double load = costs.loadNanos();
    return (rows, underWay, most) -> {
      LayerDemand demand =
          new LayerDemand(
              Arrays.stream(rows).asLongStream().toArray(),
              Arrays.stream(rows).mapToDouble(cpu::nanos).toArray(),
              new double[rows.length],
              underWay * load,
              load);
      int best = AffinityPolicy.MIN_MAX.split(demand, new SplittableRandom(0)).onCpu();
      int onCpu = Math.min(best, most); // up to the best, each one more ends sooner
      double spare = (demand.cpuNanos(onCpu) - demand.loadNanos(onCpu)) / load;
      return new Share(onCpu, onCpu == 0 ? 0 : Math.max(0, spare));
    };
  }
}
