package io.expertatlas.trace.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.JsonDocuments.Place;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/**
 * Routes of requests: one sequence for each answer, numbered from 0 in the order of the file. The
 * file is read once when it is opened, to find where requests are and which layers are dense, and
 * then a request at a time.
 */
final class RequestBlocks implements RouteBlocks {
  static final FormatOption<int[]> DENSE_LAYERS =
      FormatOption.integers(
          "dense-layers",
          "Layers of the dump that have no experts; else found as those whose ids are all 0.");

  /** Finds the sequences of one document. */
  interface Parser {
    List<RequestRoutes> parse(Place place, JsonNode document);
  }

  private record Block(Place place, int sequence, int tokens) {}

  private final Path path;
  private final JsonDocuments documents;
  private final Parser parser;
  private final ModelShape shape;
  private final int[] layers; // of the dump, by MoE layer
  private final List<Block> blocks;
  private Optional<Place> cachedPlace = Optional.empty();
  private List<RequestRoutes> cached = List.of();

  private RequestBlocks(
      JsonDocuments documents,
      Path path,
      Parser parser,
      ModelShape shape,
      int[] layers,
      List<Block> blocks) {
    this.documents = documents;
    this.path = path;
    this.parser = parser;
    this.shape = shape;
    this.layers = layers;
    this.blocks = blocks;
  }

  /**
   * Reads the file once.
   *
   * @param mayHaveDense whether dense layers may stand among the layers; asked after the reading
   */
  static RequestBlocks open(TraceSource source, Parser parser, BooleanSupplier mayHaveDense) {
    Survey survey = new Survey(source.path());
    JsonDocuments documents = new JsonDocuments(source.path());
    documents.forEach(
        (place, document) -> {
          List<RequestRoutes> sequences = parser.parse(place, document);
          for (int i = 0; i < sequences.size(); i++) {
            survey.add(place, i, sequences.get(i));
          }
        });
    int[] layers =
        survey.moeLayers(source.options().find(DENSE_LAYERS), mayHaveDense.getAsBoolean());
    return new RequestBlocks(
        documents, source.path(), parser, survey.shape(source, layers), layers, survey.blocks);
  }

  /** Sequences that are already in memory: one file, one request. */
  static RequestBlocks of(TraceSource source, RequestRoutes request, boolean mayHaveDense) {
    Survey survey = new Survey(source.path());
    Place place = new Place(source.path(), 1, 0);
    survey.add(place, 0, request);
    int[] layers = survey.moeLayers(source.options().find(DENSE_LAYERS), mayHaveDense);
    RequestBlocks blocks =
        new RequestBlocks(
            new JsonDocuments(source.path()),
            source.path(),
            (where, document) -> List.of(request),
            survey.shape(source, layers),
            layers,
            survey.blocks);
    blocks.cachedPlace = Optional.of(place);
    blocks.cached = List.of(request);
    return blocks;
  }

  /** What the first pass finds. */
  private static final class Survey {
    private final Path path;
    private final List<Block> blocks = new ArrayList<>();
    private int layers;
    private int topK;
    private boolean[] used = {}; // [layer] whether any id is not 0
    private String first = "";
    private long tokens;

    Survey(Path path) {
      this.path = path;
    }

    void add(Place place, int sequence, RequestRoutes routes) {
      if (first.isEmpty()) {
        first = routes.place();
        layers = routes.layers();
        topK = routes.topK();
        used = new boolean[layers];
      } else if (layers != routes.layers() || topK != routes.topK()) {
        throw new TraceFormatException(
            "Invalid routes in %s: %d layers with top-%d, but %s has %d with top-%d"
                .formatted(routes.place(), routes.layers(), routes.topK(), first, layers, topK));
      }

      int[] ids = routes.ids();
      for (int i = 0; i < ids.length; i++) {
        if (ids[i] != 0) {
          used[i % (layers * topK) / topK] = true;
        }
      }

      tokens += routes.tokens();
      blocks.add(new Block(place, sequence, routes.tokens()));
    }

    int[] moeLayers(Optional<int[]> dense, boolean mayHaveDense) {
      if (blocks.isEmpty()) {
        throw new TraceFormatException(
            "Cannot read routes from %s: it holds no request".formatted(path));
      }

      if (layers < 1 || topK < 1) {
        throw new TraceFormatException(
            "Invalid routes in %s: %d layers with top-%d, at least 1 of both"
                .formatted(first, layers, topK));
      }

      boolean[] isDense = new boolean[layers];
      if (dense.isPresent()) {
        for (int layer : dense.get()) {
          if (layer >= layers) {
            throw new TraceFormatException(
                "Invalid dense-layers for %s: %d, the routes have layers 0 to %d"
                    .formatted(path, layer, layers - 1));
          }

          if (used[layer]) {
            throw new TraceFormatException(
                "Invalid dense-layers for %s: layer %d has expert ids other than 0"
                    .formatted(path, layer));
          }

          isDense[layer] = true;
        }
      } else if (mayHaveDense && tokens > 0) {
        for (int layer = 0; layer < layers; layer++) {
          isDense[layer] = !used[layer];
          if (isDense[layer] && topK == 1) {
            throw new TraceFormatException(
                "Cannot tell whether layer %d of %s is dense: its ids are all 0, which top-1 routes may be. Maybe say it with --format-option dense-layers=0,1 or dense-layers=none"
                    .formatted(layer, path));
          }
        }
      }

      int[] moe = new int[layers];
      int count = 0;
      for (int layer = 0; layer < layers; layer++) {
        if (!isDense[layer]) {
          moe[count++] = layer;
        }
      }

      if (count == 0) {
        throw new TraceFormatException(
            "Cannot read routes from %s: all its %d layers are dense".formatted(path, layers));
      }

      return Arrays.copyOf(moe, count);
    }

    ModelShape shape(TraceSource source, int[] moe) {
      return new ModelShape(moe.length, Sources.experts(source, topK), topK);
    }
  }

  @Override
  public ModelShape shape() {
    return shape;
  }

  @Override
  public long[] blockTokens() {
    return blocks.stream().mapToLong(Block::tokens).toArray();
  }

  @Override
  public RoutingTrace routes(int block, long from, int count) {
    Block wanted = blocks.get(block);
    if (!cachedPlace.equals(Optional.of(wanted.place()))) {
      cached = parser.parse(wanted.place(), documents.read(wanted.place()));
      cachedPlace = Optional.of(wanted.place());
    }

    if (wanted.sequence() >= cached.size()
        || cached.get(wanted.sequence()).tokens() != wanted.tokens()) {
      throw new TraceFormatException(
          "Cannot read %s again: it changed meanwhile".formatted(wanted.place()));
    }

    RequestRoutes routes = cached.get(wanted.sequence());
    RouteBuffer buffer =
        new RouteBuffer(
            shape,
            count,
            false,
            path,
            token -> "%s, token %d".formatted(inFile(routes.place()), from + token));
    for (int token = 0; token < count; token++) {
      int source = (int) from + token;
      for (int layer = 0; layer < layers.length; layer++) {
        int at = source * routes.width() + layers[layer] * shape.topK();
        for (int rank = 0; rank < shape.topK(); rank++) {
          buffer.put(token, layer, rank, routes.ids()[at + rank]);
        }
      }

      buffer.sequence[token] = block;
      buffer.position[token] = routes.position()[source];
      buffer.phase[token] = (byte) (routes.position()[source] < routes.prompt() ? 0 : 1);
    }

    return buffer.build();
  }

  /** A place without the name of the file before it. */
  private String inFile(String place) {
    String prefix = path + ", ";
    return place.startsWith(prefix) ? place.substring(prefix.length()) : place;
  }

  @Override
  public void close() {
    cached = List.of();
    cachedPlace = Optional.empty();
    documents.close();
  }
}
