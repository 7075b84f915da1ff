package io.expertatlas.runtime.json;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.benchmark.Machine;
import io.expertatlas.runtime.benchmark.Measurement;
import io.expertatlas.runtime.benchmark.Settings;
import java.util.List;

/** The results of a benchmark as one JSON object. */
public final class BenchmarkJson {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private BenchmarkJson() {}

  /** The object. */
  public static String toJson(
      String model,
      String device,
      String precision,
      Settings settings,
      Machine machine,
      List<Measurement> measurements) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", 1);
    root.put("model", model);
    root.put("device", device);
    root.put("precision", precision);
    root.put("seed", settings.seed());
    root.put("rounds", settings.rounds());
    root.put("context", settings.context());
    root.put("steps", settings.steps());
    root.put("bandwidth", machine.bytesPerSecond());
    root.put("bandwidth-measured", machine.isMeasured());
    root.put("product-milliseconds", machine.productNanos() / 1e6);
    for (Measurement one : measurements) {
      measurement(
          root.withArrayProperty("measurements").addObject(), one, machine, settings.steps());
    }

    return root.toString();
  }

  private static void measurement(ObjectNode into, Measurement one, Machine machine, int steps) {
    into.put("placement", one.placement());
    into.put("mode", one.mode());
    into.put("ranks", one.ranks());
    into.put("predictor", one.predictor());
    RunJson.host(into, one.cpuExperts(), one.hostCosts());
    for (Measurement.Decode decode : one.decode()) {
      ObjectNode entry = into.withArrayProperty("decode").addObject();
      entry.put("batch-size", decode.batch());
      entry.put("tokens-per-second", decode.tokensPerSecond());
      entry.put("step-milliseconds", decode.batch() / decode.tokensPerSecond() * 1e3);
      entry.put("step-bytes", decode.stepBytes());
      entry.put("roofline-tokens-per-second", decode.roofline(machine));
      entry.put("roofline-ratio", decode.tokensPerSecond() / decode.roofline(machine));
      entry.put("bytes-moved-per-step", decode.bytesMoved());
      entry.put("context-bytes-moved-per-step", decode.contextBytesMoved());
      RunJson.offloaded(entry, decode.offloaded());
      entry.put("expert-bytes-loaded-per-step", (double) decode.offloaded().bytes() / steps);
    }

    Measurement.Prefill prefill = one.prefill();
    ObjectNode entry = into.putObject("prefill");
    entry.put("tokens", prefill.tokens());
    entry.put("tokens-per-second", prefill.tokensPerSecond());
    entry.put("products-tokens-per-second", prefill.products(machine));
    entry.put("products-ratio", prefill.tokensPerSecond() / prefill.products(machine));
    entry.put("bytes-moved", prefill.bytesMoved());
    entry.put("context-bytes-moved", prefill.contextBytesMoved());
  }
}
