package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.RunResult;
import java.util.Arrays;
import java.util.Locale;

/** The figures of a run as text. */
final class RunTable {
  private RunTable() {}

  static String of(RunResult result) {
    long prompt = result.prompts().stream().mapToLong(ids -> ids.length).sum();
    long made = result.newTokens().stream().mapToLong(ids -> ids.length).sum();
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%s on %d %s rank%s, mode %s, placement %s",
        result.architecture(),
        result.ranks(),
        result.device(),
        result.ranks() == 1 ? "" : "s",
        result.mode(),
        result.placement());
    line(
        text,
        "%d sequences, %d prompt tokens at %.1f a second, %d new tokens at %.1f a second",
        result.prompts().size(),
        prompt,
        result.prefillTokensPerSecond(),
        made,
        result.decodeTokensPerSecond());
    if (result.ranks() > 1) {
      line(
          text,
          "moved between ranks: %d vectors, %d bytes; keys and values: %d bytes",
          result.moved().total(),
          result.moved().total() * result.vectorBytes(),
          result.context().total() * result.contextVectorBytes());
    }

    Offload.Use use = result.offloaded();
    if (use.needed() > 0) {
      line(
          text,
          "experts: %.1f %% of the needed ones were on the device, %d loaded, %d bytes",
          100 * use.hitRate(),
          use.loads(),
          use.bytes());
    }

    if (!result.cpuExperts().equals("none")) {
      line(
          text,
          "%.1f %% were computed on the CPU by %s; %s",
          100.0 * use.onCpu() / Math.max(1, use.needed()),
          result.cpuExperts(),
          costs(result.hostCosts()));
    }

    if (!result.predictor().equals("none")) {
      line(
          text,
          "foretold by %s: %.1f %% of the needed ones, %d in time and %d under way; %d copies wasted",
          result.predictor(),
          100 * use.foretoldRate(),
          use.arrived(),
          use.foretold() - use.arrived(),
          use.wasted());
    }

    double worst = 0;
    for (long[] layer : result.expertTokens()) {
      long sum = Arrays.stream(layer).sum();
      double max = Arrays.stream(layer).max().orElse(0);
      worst = Math.max(worst, sum == 0 ? 0 : max * layer.length / sum);
    }

    line(text, "busiest expert over mean expert, worst layer: %.2f", worst);
    return text.toString();
  }

  /** What an expert takes on either side. */
  static String costs(HostCosts costs) {
    int last = costs.rows().size() - 1;
    return String.format(
        Locale.ROOT,
        "an expert takes %.2f ms there for 1 row, %.2f ms for %d, and %.2f ms to the device",
        costs.cpuNanos().get(0) / 1e6,
        costs.cpuNanos().get(last) / 1e6,
        costs.rows().get(last),
        costs.loadNanos() / 1e6);
  }

  private static void line(StringBuilder text, String form, Object... values) {
    text.append(String.format(Locale.ROOT, form, values)).append(System.lineSeparator());
  }
}
