package io.expertatlas.runtime.finetune;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** The result of a training as one JSON object. */
public final class FinetuneJson {
  private static final int FORMAT_VERSION = 1;

  private FinetuneJson() {}

  /** The object; {@code losses} has one for each step. */
  public static String toJson(FinetuneResult result) {
    ObjectNode root = new ObjectMapper().createObjectNode();
    root.put("format-version", FORMAT_VERSION);
    root.put("model", result.model());
    ObjectNode training = root.putObject("training");
    result.training().forEach(training::put);
    ObjectNode execution = root.putObject("execution");
    result.execution().forEach(execution::put);
    root.put("parameters", result.parameters());
    root.put("resumed-from", result.resumedFrom());
    root.put("held-out-loss-before", result.heldOutBefore());
    root.put("held-out-loss-after", result.heldOutAfter());
    root.put("held-out-tokens", result.heldOutTokens());
    root.put("tokens-per-second", result.tokensPerSecond());
    root.put("peak-bytes", result.peakBytes());
    ArrayNode losses = root.putArray("losses");
    ArrayNode norms = root.putArray("gradient-norms");
    for (TrainingState.Point point : result.curve()) {
      losses.add(point.loss());
      norms.add(point.gradientNorm());
    }

    return root.toString();
  }
}
