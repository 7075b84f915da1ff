package io.expertatlas.trace.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.JsonDocuments.Place;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Set;

/**
 * Format {@code sglang-requests}: answers of an SGLang server that was asked to return routed
 * experts, as JSON: base64 of int32 {@code [tokens, layers, k]}, in {@code
 * choices[].sgl_ext.routed_experts} or {@code meta_info.routed_experts}. Each choice is a sequence,
 * its prompt included; the last token of a sequence has no routes.
 */
public final class SglangRequestsFormat implements TraceFormat {
  private static final FormatOption<Integer> LAYERS =
      FormatOption.integer("layers", 1, "Layers of the model, dense ones included.");
  private static final FormatOption<Integer> TOP_K =
      FormatOption.integer("top-k", 1, "Experts that the model chooses for a token in a layer.");
  private static final FormatOption<Integer> START =
      FormatOption.integer("start", 0, "The request's routed_experts_start_len (0).");

  /** For {@link java.util.ServiceLoader}. */
  public SglangRequestsFormat() {}

  @Override
  public String name() {
    return "sglang-requests";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    List<String> keys =
        JsonDocuments.keysOfFirst(source.path(), Set.of("sgl_ext", "meta_info", "routed_experts"));
    return keys.contains("routed_experts")
        && (keys.contains("sgl_ext") || keys.contains("meta_info"));
  }

  @Override
  public List<FormatOption<?>> options() {
    return List.of(LAYERS, TOP_K, START, RequestBlocks.DENSE_LAYERS);
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    Sources.refuseColumns(source);
    int layers = source.options().require(LAYERS, source.path());
    int topK = source.options().require(TOP_K, source.path());
    int start = source.options().find(START).orElse(0);
    RequestBlocks blocks =
        RequestBlocks.open(
            source, (place, document) -> parse(place, document, layers, topK, start), () -> true);
    return new BlockTraceReader(blocks, range, blocks.shape().choicesPerToken());
  }

  private static List<RequestRoutes> parse(
      Place place, JsonNode document, int layers, int topK, int start) {
    List<RequestRoutes> sequences = new ArrayList<>();
    if (document.has("meta_info")) {
      JsonNode info = document.get("meta_info");
      sequences.add(
          decode(
              place + ", meta_info.routed_experts",
              info.path("routed_experts"),
              new int[] {layers, topK, start},
              info,
              true));
      return sequences;
    }

    JsonNode choices = document.path("choices");
    if (!choices.isArray()) {
      throw new TraceFormatException(
          "Cannot find routes in %s: it has neither meta_info nor choices".formatted(place));
    }

    for (int choice = 0; choice < choices.size(); choice++) {
      sequences.add(
          decode(
              "%s, choices[%d].sgl_ext.routed_experts".formatted(place, choice),
              choices.get(choice).path("sgl_ext").path("routed_experts"),
              new int[] {layers, topK, start},
              document.path("usage"),
              choices.size() == 1));
    }

    return sequences;
  }

  /** Decodes {@code facts}: layers, top-k and start. */
  private static RequestRoutes decode(
      String place, JsonNode text, int[] facts, JsonNode usage, boolean countsThisOnly) {
    int layers = facts[0];
    int topK = facts[1];
    int start = facts[2];
    if (!text.isTextual()) {
      throw new TraceFormatException(
          "Invalid routes in %s: %s, expected base64 text"
              .formatted(place, text.isMissingNode() ? "missing" : Json.shorten(text)));
    }

    byte[] bytes;
    try {
      bytes = Base64.getDecoder().decode(text.asText());
    } catch (IllegalArgumentException e) {
      throw new TraceFormatException(
          "Invalid base64 in %s: %s".formatted(place, e.getMessage()), e);
    }

    long row = 4L * layers * topK;
    if (bytes.length % row != 0) {
      throw new TraceFormatException(
          "Invalid routes in %s: %d bytes are no multiple of the %d of a token (%d layers, top-%d, int32). Maybe layers or top-k is wrong"
              .formatted(place, bytes.length, row, layers, topK));
    }

    int tokens = (int) (bytes.length / row);
    long prompt =
        usage.path("prompt_tokens").isIntegralNumber()
            ? usage.path("prompt_tokens").asLong()
            : Long.MAX_VALUE;
    if (countsThisOnly
        && prompt != Long.MAX_VALUE
        && usage.path("completion_tokens").isIntegralNumber()) {
      long expected = prompt + usage.path("completion_tokens").asLong() - 1 - start;
      if (tokens != expected) {
        throw new TraceFormatException(
            "Invalid routes in %s: %d tokens, but the usage beside it says %d (%d prompt + %s completion - 1 - start %d). Maybe layers, top-k or start is wrong"
                .formatted(
                    place, tokens, expected, prompt, usage.path("completion_tokens"), start));
      }
    }

    int[] ids = new int[tokens * layers * topK];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(ids);
    int[] position = new int[tokens];
    Arrays.setAll(position, token -> start + token);
    return new RequestRoutes(place, layers, topK, ids, position, prompt);
  }
}
