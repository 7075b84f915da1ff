package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.sim.PaperClaims.Claim;
import io.expertatlas.runtime.sim.PipelineRun;
import io.expertatlas.runtime.sim.Scenario;
import io.expertatlas.runtime.sim.StepResult.DeviceResult;
import java.util.List;
import java.util.Locale;

/** Simulated pipelines as text. */
final class SimulationTable {
  private SimulationTable() {}

  static String of(Scenario scenario, List<PipelineRun> runs) {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%d layers x %d experts, %.2f B parameters, %d GPUs of %s, %d cores each, %d x %d tokens a"
            + " step",
        scenario.layers(),
        scenario.experts(),
        scenario.parameters() / 1e9,
        scenario.devices(),
        scenario.isBounded() ? ByteSize.show(scenario.budgetBytes()) : "any memory",
        scenario.machine().coresPerProcess(),
        scenario.chunks(),
        scenario.tokens());
    line(
        text,
        "%-22s %10s %10s %9s %8s %8s %8s %8s %8s",
        "pipeline",
        "s a step",
        "seq/s",
        "GPU need",
        "GPU",
        "CPU",
        "loading",
        "loaded",
        "on CPU");
    for (PipelineRun run : runs) {
      if (!run.ran()) {
        line(text, "%-22s %s", run.name(), run.refused());
        continue;
      }

      double layerBase =
          scenario.table().shape().attentionBytes()
              + scenario.table().shape().gateBytes(scenario.experts());
      double bytes =
          run.sum(DeviceResult::basesLoaded) * layerBase
              + (double) run.sum(DeviceResult::expertsLoaded)
                  * scenario.table().shape().expertBytes();
      line(
          text,
          "%-22s %10.4f %10.3f %9s %7.1f%% %7.1f%% %7.1f%% %6.1fGB %7.1f%%",
          run.name(),
          run.stepSeconds(),
          scenario.batchSize() / run.stepSeconds(),
          ByteSize.show(run.need().bytes()),
          100 * run.share(DeviceResult::gpuNanos),
          100 * run.share(DeviceResult::cpuNanos),
          100 * run.share(DeviceResult::loadNanos),
          bytes / run.steps().size() / 1e9,
          100 * run.cpuShare());
    }

    return text.toString();
  }

  static String of(List<Claim> claims) {
    StringBuilder text = new StringBuilder();
    line(text, "%-66s %10s  %-44s %s", "claim of the paper", "paper", "simulated", "agrees");
    for (Claim claim : claims) {
      line(
          text,
          "%-66s %10s  %-44s %s",
          claim.text(),
          claim.paper(),
          claim.ours(),
          claim.agrees() ? "yes" : "no");
    }

    return text.toString();
  }

  private static void line(StringBuilder text, String form, Object... values) {
    text.append(String.format(Locale.ROOT, form, values)).append(System.lineSeparator());
  }
}
