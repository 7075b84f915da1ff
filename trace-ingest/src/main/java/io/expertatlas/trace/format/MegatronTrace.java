package io.expertatlas.trace.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.MegatronIndex.Line;
import io.expertatlas.trace.format.MegatronIndex.Sidecar;
import io.expertatlas.trace.format.MegatronIndex.Step;
import io.expertatlas.trace.format.TensorFile.Element;
import io.expertatlas.trace.format.TensorFile.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A router trace of Megatron-Core: {@code router_trace_rank<r>.jsonl}, a line for each step and
 * layer, and hidden states and logits as bfloat16 in files beside it. A block is what one rank did
 * in one micro-batch; it becomes a sequence, because requests are not recorded.
 */
final class MegatronTrace implements RouteBlocks {
  static final String NAME = "megatron";

  /** Which stack of the model. */
  enum Stack {
    DECODER,
    MTP
  }

  static final FormatOption<Stack> BLOCK =
      FormatOption.choice("block", Stack.class, "Which layers are read (decoder).");
  static final FormatOption<int[]> RANKS =
      FormatOption.integers("ranks", "Ranks to read; else all. All must hold the same layers.");
  static final List<FormatOption<?>> OPTIONS = List.of(BLOCK, RANKS);

  private final MegatronIndex index;
  private final ModelShape shape;
  private final Map<Path, TensorFile> sidecars = new TreeMap<>();
  private final Map<Path, JsonDocuments> documents = new TreeMap<>(); // of each rank
  private int cachedBlock = -1;
  private List<int[]> cached = List.of(); // [layer] ids [token][rank]

  private MegatronTrace(MegatronIndex index, ModelShape shape) {
    this.index = index;
    this.shape = shape;
  }

  static MegatronTrace open(TraceSource source) {
    Sources.refuseColumns(source);
    MegatronIndex index =
        MegatronIndex.of(
            source.path(),
            source.options().find(BLOCK).orElse(Stack.DECODER),
            source.options().find(RANKS));
    int experts;
    if (index.logits() > 0) {
      experts = index.logits();
      Sources.checkExperts(source, experts);
      if (experts < index.topK() || experts > ModelShape.MAX_EXPERTS) {
        throw new TraceFormatException(
            "Invalid logits of %s: %d for each token, %d (its top-k) to %d"
                .formatted(source.path(), experts, index.topK(), ModelShape.MAX_EXPERTS));
      }
    } else {
      experts = Sources.experts(source, index.topK());
    }

    MegatronTrace trace =
        new MegatronTrace(index, new ModelShape(index.layers().length, experts, index.topK()));
    try {
      trace.openSidecars();
      return trace;
    } catch (RuntimeException e) {
      trace.close();
      throw e;
    }
  }

  private void openSidecars() {
    for (Step step : index.steps()) {
      for (Line line : step.lines()) {
        for (Sidecar part : List.of(line.hidden(), line.logits())) {
          if (part.isPresent()) {
            TensorFile file = sidecars.computeIfAbsent(part.file(), TensorFile::openRaw);
            if (part.offset() + part.bytes() > file.bytes()) {
              throw new TraceFormatException(
                  "Truncated file: %s has %d bytes, %s needs bytes %d to %d"
                      .formatted(
                          part.file(),
                          file.bytes(),
                          line.place(),
                          part.offset(),
                          part.offset() + part.bytes() - 1));
            }
          }
        }
      }
    }
  }

  @Override
  public ModelShape shape() {
    return shape;
  }

  @Override
  public long[] blockTokens() {
    return index.steps().stream().mapToLong(Step::tokens).toArray();
  }

  @Override
  public int hiddenSize() {
    return index.hiddenSize();
  }

  @Override
  public Scores scores() {
    return index.logits() > 0 ? Scores.LOGITS : Scores.NONE;
  }

  @Override
  public RoutingTrace routes(int block, long from, int count) {
    return routes(block, (int) from, count, readLogits(block, from, count));
  }

  @Override
  public RouterStates states(int block, long from, int count) {
    float[] logits = readLogits(block, from, count);
    RoutingTrace routes = routes(block, (int) from, count, logits);
    int width = hiddenSize();
    float[] hidden = new float[count * shape.layers() * width];
    for (int layer = 0; layer < shape.layers() && width > 0; layer++) {
      Line line = index.steps().get(block).lines().get(layer);
      read(line, line.hidden(), "hidden state", new Part(from, count, layer, width), hidden);
    }

    return RouterStates.of(routes, width, hidden, scores(), logits);
  }

  /** Routes, ranked by logit if there are any: the recorder may give ids in ascending order. */
  private RoutingTrace routes(int block, int from, int count, float[] logits) {
    Step step = index.steps().get(block);
    load(block);
    Path file = step.lines().get(0).place().path();
    RouteBuffer buffer =
        new RouteBuffer(
            shape,
            count,
            false,
            file,
            token ->
                "step %d, lines from %d on, token %d"
                    .formatted(step.number(), step.lines().get(0).place().line(), from + token));
    int topK = shape.topK();
    int[] ids = new int[topK];
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (int token = 0; token < count; token++) {
        System.arraycopy(cached.get(layer), (from + token) * topK, ids, 0, topK);
        if (logits.length > 0) {
          rank(ids, logits, (token * shape.layers() + layer) * shape.experts());
        }

        for (int rank = 0; rank < topK; rank++) {
          buffer.put(token, layer, rank, ids[rank]);
        }
      }
    }

    for (int token = 0; token < count; token++) {
      buffer.sequence[token] = block;
      buffer.position[token] = from + token;
    }

    return buffer.build();
  }

  /** Sorts ids by descending logit; stable. Ids out of range stay where they are. */
  private void rank(int[] ids, float[] logits, int at) {
    for (int id : ids) {
      if (id < 0 || id >= shape.experts()) {
        return; // the buffer says where
      }
    }

    for (int i = 1; i < ids.length; i++) {
      int id = ids[i];
      int to = i;
      while (to > 0 && logits[at + id] > logits[at + ids[to - 1]]) {
        ids[to] = ids[to - 1];
        to--;
      }

      ids[to] = id;
    }
  }

  private void load(int block) {
    if (block == cachedBlock) {
      return;
    }

    List<int[]> ids = new ArrayList<>();
    for (Line line : index.steps().get(block).lines()) {
      JsonNode document =
          documents.computeIfAbsent(line.place().path(), JsonDocuments::new).read(line.place());
      ids.add(MegatronIndex.ids(line.place(), document, line.tokens(), shape.topK()));
    }

    cached = ids;
    cachedBlock = block;
  }

  private float[] readLogits(int block, long from, int count) {
    if (index.logits() == 0) {
      return new float[0];
    }

    float[] logits = new float[count * shape.layers() * shape.experts()];
    for (int layer = 0; layer < shape.layers(); layer++) {
      Line line = index.steps().get(block).lines().get(layer);
      read(
          line,
          line.logits(),
          "router logit",
          new Part(from, count, layer, shape.experts()),
          logits);
    }

    return logits;
  }

  private record Part(long from, int count, int layer, int width) {}

  /** Reads rows of a layer into {@code [token][layer][width]}. */
  private void read(Line line, Sidecar sidecar, String what, Part part, float[] into) {
    TensorFile file = sidecars.get(sidecar.file());
    int width = part.width();
    Tensor tensor =
        new Tensor("", Element.BF16, List.of((long) line.tokens(), (long) width), sidecar.offset());
    for (int token = 0; token < part.count(); token++) {
      int at = (token * shape.layers() + part.layer()) * width;
      file.readFloats(tensor, (part.from() + token) * width, width, into, at);
      for (int i = 0; i < width; i++) {
        if (!Float.isFinite(into[at + i])) {
          throw new TraceFormatException(
              "Invalid %s %s in %s at byte %d (%s, token %d, value %d): it must be finite"
                  .formatted(
                      what,
                      into[at + i],
                      sidecar.file(),
                      sidecar.offset() + 2 * ((part.from() + token) * width + i),
                      line.place(),
                      part.from() + token,
                      i));
        }
      }
    }
  }

  /** Whether a path is such a trace. */
  static boolean looksSo(Path path) {
    return Files.isDirectory(path)
        ? MegatronIndex.isTraceFolder(path)
        : MegatronIndex.isTrace(path);
  }

  /** Whether its first line names sidecars. */
  static boolean looksToHaveStates(Path path) {
    if (!looksSo(path)) {
      return false;
    }

    Path first =
        Files.isDirectory(path) ? MegatronIndex.files(path).values().iterator().next() : path;
    return !JsonDocuments.keysOfFirst(first, java.util.Set.of("hs_offset", "logit_offset"))
        .isEmpty();
  }

  @Override
  public void close() {
    Closing.quietly(List.copyOf(sidecars.values()));
    Closing.quietly(List.copyOf(documents.values()));
  }
}
