package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.benchmark.Machine;
import io.expertatlas.runtime.benchmark.Measurement;
import java.util.List;
import java.util.Locale;

/** The figures of a benchmark as text. */
final class BenchmarkTable {
  private BenchmarkTable() {}

  /** The text; {@code steps} decode steps were in a round. */
  static String of(Machine machine, List<Measurement> measurements, int steps) {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "memory: %.1f GB/s (%s); dense products of the prefill alone: %.2f ms",
        machine.bytesPerSecond() / 1e9,
        machine.isMeasured() ? "measured by copies" : "given",
        machine.productNanos() / 1e6);
    for (Measurement one : measurements) {
      line(
          text,
          "%s, %d rank%s, mode %s%s%s",
          one.placement(),
          one.ranks(),
          one.ranks() == 1 ? "" : "s",
          one.mode(),
          one.predictor().equals("none") ? "" : ", foretold by " + one.predictor(),
          one.cpuExperts().equals("none")
              ? ""
              : ", %s on the CPU; %s".formatted(one.cpuExperts(), RunTable.costs(one.hostCosts())));
      for (Measurement.Decode decode : one.decode()) {
        line(
            text,
            "  decode, batch %d: %.1f tokens/s, step %.3f ms, %.3f of the memory's limit (%.1f"
                + " tokens/s, %.2f GB a step)%s%s",
            decode.batch(),
            decode.tokensPerSecond(),
            decode.batch() / decode.tokensPerSecond() * 1e3,
            decode.tokensPerSecond() / decode.roofline(machine),
            decode.roofline(machine),
            decode.stepBytes() / 1e9,
            moved(one, decode.bytesMoved(), decode.contextBytesMoved()),
            offloaded(decode.offloaded(), steps));
      }

      Measurement.Prefill prefill = one.prefill();
      line(
          text,
          "  prefill, %d tokens: %.1f tokens/s, %.3f of the products alone (%.1f tokens/s)%s",
          prefill.tokens(),
          prefill.tokensPerSecond(),
          prefill.tokensPerSecond() / prefill.products(machine),
          prefill.products(machine),
          moved(one, prefill.bytesMoved(), prefill.contextBytesMoved()));
    }

    return text.toString();
  }

  private static String moved(Measurement one, double bytes, double context) {
    return one.ranks() == 1
        ? ""
        : String.format(
            Locale.ROOT, ", moved %.0f bytes, keys and values %.0f bytes", bytes, context);
  }

  private static String offloaded(Offload.Use use, int steps) {
    return use.needed() == 0
        ? ""
        : String.format(
            Locale.ROOT,
            "; of %.1f experts a step %.1f %% were there, %.1f %% foretold (%.1f %% in time),"
                + " %.1f %% computed on the CPU, the rest loaded; %.3f GB a step, %.1f copies wasted",
            (double) use.needed() / steps,
            100 * use.hitRate(),
            100 * use.foretoldRate(),
            100.0 * use.arrived() / use.needed(),
            100.0 * use.onCpu() / use.needed(),
            use.bytes() / 1e9 / steps,
            (double) use.wasted() / steps);
  }

  private static void line(StringBuilder text, String form, Object... values) {
    text.append(String.format(Locale.ROOT, form, values)).append(System.lineSeparator());
  }
}
