package io.expertatlas.trace.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.JsonDocuments.Place;
import io.expertatlas.trace.format.TensorFile.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/**
 * Format {@code vllm}: routed experts that vLLM returned with its answers. Layouts:
 *
 * <ul>
 *   <li>{@code all-layers} (up to 0.20): int32 {@code [tokens, layers, k]}, dense layers zero, as
 *       {@code .npy} of one request or as {@code {data, shape}} in base 85;
 *   <li>{@code moe-layers} (0.21): JSON lists {@code prompt_routed_experts} {@code [prompt, moe
 *       layers, k]} of the response and {@code routed_experts} {@code [generated, moe layers, k]}
 *       of each choice;
 *   <li>{@code encoded} (later): {@code {data, shape, dtype}}.
 * </ul>
 */
public final class VllmFormat implements TraceFormat {
  /** The three layouts. */
  enum Layout {
    ALL_LAYERS,
    MOE_LAYERS,
    ENCODED
  }

  /** What to do with tokens that have no routes. */
  enum Missing {
    FAIL,
    DROP
  }

  private static final FormatOption<Layout> LAYOUT =
      FormatOption.choice(
          "layout", Layout.class, "How routes are laid out; else found by looking.");
  private static final FormatOption<Missing> MISSING =
      FormatOption.choice(
          "missing", Missing.class, "Tokens whose ids are -1, as of a cached prefix (fail).");
  private static final FormatOption<EncodedArray.Encoding> ENCODING =
      FormatOption.choice(
          "encoding", EncodedArray.Encoding.class, "Of data texts; else told by their length.");

  /** For {@link java.util.ServiceLoader}. */
  public VllmFormat() {}

  @Override
  public String name() {
    return "vllm";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    List<String> keys =
        JsonDocuments.keysOfFirst(
            source.path(),
            Set.of("sgl_ext", "meta_info", "routed_experts", "prompt_routed_experts"));
    return !keys.contains("sgl_ext") && !keys.contains("meta_info") && !keys.isEmpty();
  }

  @Override
  public List<FormatOption<?>> options() {
    return List.of(LAYOUT, MISSING, ENCODING, RequestBlocks.DENSE_LAYERS);
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    Sources.refuseColumns(source);
    Optional<Layout> layout = source.options().find(LAYOUT);
    boolean drop = source.options().find(MISSING).orElse(Missing.FAIL) == Missing.DROP;
    RequestBlocks blocks;
    if (NpyFile.hasMagic(source.path())) {
      if (layout.orElse(Layout.ALL_LAYERS) != Layout.ALL_LAYERS) {
        throw new TraceFormatException(
            "Invalid layout for %s: an .npy file is all-layers".formatted(source.path()));
      }

      blocks = RequestBlocks.of(source, readNpy(source).withoutMissing(drop), true);
    } else {
      Optional<EncodedArray.Encoding> encoding = source.options().find(ENCODING);
      Seen seen = new Seen(layout);
      blocks =
          RequestBlocks.open(
              source,
              (place, document) -> new Response(place, document, seen, encoding, drop).parse(),
              () -> !seen.is(Layout.MOE_LAYERS));
    }

    return new BlockTraceReader(blocks, range, blocks.shape().choicesPerToken());
  }

  private static RequestRoutes readNpy(TraceSource source) {
    try (TensorFile file = TensorFile.openNpy(source.path(), "routed experts")) {
      Tensor tensor = file.tensors().get("");
      List<Long> shape = tensor.shape();
      if (shape.size() != 3
          || tensor.type().floating
          || tensor.elements() < shape.get(0)
          || tensor.elements() > Integer.MAX_VALUE / 8) {
        throw new TraceFormatException(
            "Invalid routes in %s: %s %s, expected integers [tokens, layers, k] of one request"
                .formatted(source.path(), tensor.type(), shape));
      }

      long[] values = new long[(int) tensor.elements()];
      file.readIntegers(tensor, 0, values.length, values, 0);
      int[] position = new int[Math.toIntExact(shape.get(0))];
      Arrays.setAll(position, token -> token);
      return new RequestRoutes(
          source.path().toString(),
          Math.toIntExact(shape.get(1)),
          Math.toIntExact(shape.get(2)),
          EncodedArray.narrow(values, source.path()),
          position,
          Long.MAX_VALUE);
    }
  }

  /** The layout of the file: what the user says, or that of the first array. */
  private static final class Seen {
    private Optional<Layout> layout;
    private String by = "by --format-option";

    Seen(Optional<Layout> declared) {
      this.layout = declared;
    }

    boolean is(Layout wanted) {
      return layout.equals(Optional.of(wanted));
    }

    void see(Layout found, String where) {
      if (layout.isEmpty()) {
        layout = Optional.of(found);
        by = "by what came before it";
      } else if (!is(found)) {
        throw new TraceFormatException(
            "Invalid layout of %s: it looks like %s, %s it is %s"
                .formatted(where, word(found), by, word(layout.get())));
      }
    }

    private static String word(Layout layout) {
      return layout.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** Finds the routes of one response. */
  private record Response(
      Place place,
      JsonNode document,
      Seen seen,
      Optional<EncodedArray.Encoding> encoding,
      boolean drop) {
    List<RequestRoutes> parse() {
      JsonNode prompt = document.path("prompt_routed_experts");
      List<EncodedArray> promptRoutes = new ArrayList<>();
      if (!prompt.isMissingNode() && !prompt.isNull()) {
        promptRoutes.add(array(place + ", prompt_routed_experts", prompt));
      }

      String list = document.has("choices") ? "choices" : "outputs";
      List<RequestRoutes> sequences = new ArrayList<>();
      if (document.path(list).isArray()) {
        for (int i = 0; i < document.path(list).size(); i++) {
          add(
              sequences,
              "%s, %s[%d].routed_experts".formatted(place, list, i),
              document.path(list).get(i).path("routed_experts"),
              i == 0 ? promptRoutes : List.of(),
              promptRoutes.isEmpty() ? -1 : promptRoutes.get(0).tokens());
        }
      } else {
        add(
            sequences,
            place + ", routed_experts",
            document.path("routed_experts"),
            promptRoutes,
            promptRoutes.isEmpty() ? -1 : promptRoutes.get(0).tokens());
      }

      return sequences;
    }

    /** Adds the sequence of an answer: the prompt, if it is its first, then what it generated. */
    private void add(
        List<RequestRoutes> sequences,
        String where,
        JsonNode routes,
        List<EncodedArray> prompt,
        int promptTokens) {
      List<EncodedArray> parts = new ArrayList<>(prompt);
      if (!routes.isMissingNode() && !routes.isNull()) {
        parts.add(array(where, routes));
      } else if (!drop) {
        throw new TraceFormatException(
            "Missing routes in %s: vLLM returns none for pre-empted requests. Maybe leave such out with --format-option missing=drop"
                .formatted(where));
      }

      if (parts.isEmpty()) {
        return;
      }

      boolean split = seen.is(Layout.MOE_LAYERS);
      JsonNode usage = document.path("usage").path("prompt_tokens");
      long known = usage.isIntegralNumber() ? usage.asLong() : Long.MAX_VALUE;
      long prefill = promptTokens >= 0 ? promptTokens : known;
      if (split && prefill == Long.MAX_VALUE) {
        throw new TraceFormatException(
            "Cannot tell where the generated tokens of %s begin: there is neither prompt_routed_experts nor usage.prompt_tokens"
                .formatted(where));
      }

      long first = split && prompt.isEmpty() ? prefill : 0;
      EncodedArray all = EncodedArray.join(parts, where);
      int[] position = new int[all.tokens()];
      Arrays.setAll(position, token -> (int) (first + token));
      sequences.add(
          new RequestRoutes(where, all.layers(), all.topK(), all.ids(), position, prefill)
              .withoutMissing(drop));
    }

    private EncodedArray array(String where, JsonNode node) {
      Layout found =
          node.isArray()
              ? Layout.MOE_LAYERS
              : node.has("dtype") ? Layout.ENCODED : Layout.ALL_LAYERS;
      seen.see(found, where);
      return node.isArray()
          ? EncodedArray.ofLists(where, node)
          : EncodedArray.ofData(where, node, encoding);
    }
  }
}
