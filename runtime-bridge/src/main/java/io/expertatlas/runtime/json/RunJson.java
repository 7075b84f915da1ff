package io.expertatlas.runtime.json;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.RunResult;
import java.util.List;

/** The result of a run as one JSON object. */
public final class RunJson {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private RunJson() {}

  /** The object; {@code tokens} holds for each sequence its prompt's ids, then the new ones. */
  public static String toJson(RunResult result) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", 1);
    root.put("model", result.model());
    root.put("architecture", result.architecture());
    root.put("device", result.device());
    root.put("precision", result.precision());
    root.put("ranks", result.ranks());
    root.put("mode", result.mode());
    root.put("placement", result.placement());
    root.put("seed", result.seed());
    root.put("temperature", result.temperature());
    root.put("top-p", result.topP());
    ArrayNode tokens = root.putArray("tokens");
    for (int s = 0; s < result.prompts().size(); s++) {
      ArrayNode sequence = tokens.addArray();
      for (int id : result.prompts().get(s)) {
        sequence.add(id);
      }

      for (int id : result.newTokens().get(s)) {
        sequence.add(id);
      }
    }

    ids(root.putArray("newTokens"), result.newTokens());
    ArrayNode texts = root.putArray("texts");
    result.texts().forEach(texts::add);
    root.put("prefillTokensPerSecond", result.prefillTokensPerSecond());
    root.put("decodeTokensPerSecond", result.decodeTokensPerSecond());
    root.put("vector-bytes", result.vectorBytes());
    root.set("bytesMoved", MAPPER.valueToTree(result.moved().toArray(result.vectorBytes())));
    root.set(
        "contextBytesMoved",
        MAPPER.valueToTree(result.context().toArray(result.contextVectorBytes())));
    root.set("expertTokens", MAPPER.valueToTree(result.expertTokens()));
    root.put("predictor", result.predictor());
    host(root, result.cpuExperts(), result.hostCosts());
    offloaded(root, result.offloaded());
    return root.toString();
  }

  /** Who computed missing experts, and what that was decided by, if it was. */
  static void host(ObjectNode into, String cpuExperts, HostCosts costs) {
    into.put("cpu-experts", cpuExperts);
    for (int i = 0; i < costs.rows().size(); i++) {
      into.withArrayProperty("cpu-expert-milliseconds")
          .addObject()
          .put("rows", costs.rows().get(i))
          .put("milliseconds", costs.cpuNanos().get(i) / 1e6);
    }

    if (!costs.rows().isEmpty()) {
      into.put("link-milliseconds", costs.loadNanos() / 1e6);
    }
  }

  /** What loading experts cost. */
  static void offloaded(ObjectNode into, Offload.Use use) {
    into.put("expert-hits", use.hits());
    into.put("expert-foretold", use.foretold());
    into.put("expert-foretold-arrived", use.arrived());
    into.put("expert-loads", use.loads());
    into.put("expert-cpu", use.onCpu());
    into.put("expert-loads-wasted", use.wasted());
    into.put("expert-bytes-loaded", use.bytes());
  }

  private static void ids(ArrayNode into, List<int[]> sequences) {
    for (int[] ids : sequences) {
      ArrayNode sequence = into.addArray();
      for (int id : ids) {
        sequence.add(id);
      }
    }
  }
}
