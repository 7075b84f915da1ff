package io.expertatlas.runtime.json;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.pipeline.LayerShape;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.sim.PaperClaims.Claim;
import io.expertatlas.runtime.sim.PipelineRun;
import io.expertatlas.runtime.sim.Scenario;
import io.expertatlas.runtime.sim.StepResult;
import io.expertatlas.runtime.sim.StepResult.DeviceResult;
import io.expertatlas.runtime.sim.SweepPoint;
import java.util.List;

/** Simulated pipelines as one JSON object; seconds and bytes. */
public final class SimulationJson {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private SimulationJson() {}

  /** The object of a comparison. */
  public static String toJson(
      Scenario scenario,
      List<PipelineRun> runs,
      String profile,
      String routing,
      String predictor,
      long seed) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", 1);
    root.put("profile", profile);
    root.put("routing", routing);
    root.put("predictor", predictor);
    root.put("seed", seed);
    root.put("layers", scenario.layers());
    root.put("experts", scenario.experts());
    root.put("top-k", scenario.topK());
    root.put("parameters", scenario.parameters());
    root.put("gpus", scenario.devices());
    root.put("cores-per-process", scenario.machine().coresPerProcess());
    root.put("machine", scenario.machine().name());
    if (scenario.isBounded()) {
      root.put("budget-bytes", scenario.budgetBytes());
    }

    root.put("chunks", scenario.chunks());
    root.put("batch-size", scenario.batchSize());
    root.put("sequence-length", scenario.sequenceLength());
    ArrayNode results = root.putArray("pipelines");
    for (PipelineRun run : runs) {
      put(results.addObject(), scenario, run);
    }

    return root.toString();
  }

  private static void put(ObjectNode into, Scenario scenario, PipelineRun run) {
    StagePlan plan = run.plan();
    into.put("pipeline", plan.kind().word());
    if (!run.policy().isEmpty()) {
      into.put("policy", run.policy());
    }

    ArrayNode first = into.putArray("first-layers");
    for (int stage = 0; stage < plan.stages(); stage++) {
      first.add(plan.firstLayer(stage));
    }

    ArrayNode gpus = into.putArray("gpu-of-device");
    for (int device = 0; device < plan.devices(); device++) {
      gpus.add(plan.gpu(device));
    }

    into.putObject("needed-bytes")
        .put("device", run.need().device())
        .put("weights", run.need().weights())
        .put("gradients", run.need().gradients())
        .put("optimizer", run.need().optimizer())
        .put("activations", run.need().activations());
    if (!run.ran()) {
      into.put("refused", run.refused());
      return;
    }

    into.put("step-seconds", run.stepSeconds());
    into.put("sequences-per-second", scenario.batchSize() / run.stepSeconds());
    into.put("hit-rate", run.hitRate());
    into.put("cpu-token-share", run.cpuShare());
    LayerShape shape = scenario.table().shape();
    long base = shape.attentionBytes() + shape.gateBytes(scenario.experts());
    ArrayNode steps = into.putArray("steps");
    for (StepResult step : run.steps()) {
      ObjectNode one = steps.addObject();
      one.put("seconds", step.nanos() / 1e9);
      if (step.optimizerNanos() > 0) {
        one.put("optimizer-seconds", step.optimizerNanos() / 1e9);
      }

      one.put("concentration", step.concentration());
      ArrayNode devices = one.putArray("devices");
      for (DeviceResult device : step.devices()) {
        devices
            .addObject()
            .put("gpu-seconds", device.gpuNanos() / 1e9)
            .put("cpu-seconds", device.cpuNanos() / 1e9)
            .put("load-seconds", device.loadNanos() / 1e9)
            .put(
                "loaded-bytes",
                device.basesLoaded() * base + device.expertsLoaded() * shape.expertBytes())
            .put("experts-loaded", device.expertsLoaded())
            .put("gpu-tokens", device.gpuTokens())
            .put("cpu-tokens", device.cpuTokens());
      }
    }
  }

  /** The object of a sweep. */
  public static String sweepToJson(
      List<SweepPoint> points, List<Claim> claims, String policy, double fidelity, long seed) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", 1);
    root.put("policy", policy);
    if (!Double.isNaN(fidelity)) {
      root.put("fidelity", fidelity);
    }

    root.put("seed", seed);
    ArrayNode all = root.putArray("points");
    for (SweepPoint point : points) {
      ObjectNode one = all.addObject();
      one.put("model", point.model());
      one.put("skew", point.skew());
      one.put("topology", point.topology());
      one.put("gpus", point.gpus());
      one.put("batch-size", point.batchSize());
      one.put("pipeline", point.kind().word());
      if (Double.isNaN(point.seconds())) {
        one.putNull("step-seconds");
      } else {
        one.put("step-seconds", point.seconds());
      }
    }

    ArrayNode said = root.putArray("claims");
    for (Claim claim : claims) {
      said.addObject()
          .put("claim", claim.text())
          .put("paper", claim.paper())
          .put("simulated", claim.ours())
          .put("agrees", claim.agrees());
    }

    return root.toString();
  }
}
