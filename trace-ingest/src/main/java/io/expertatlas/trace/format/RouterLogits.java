package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code router_logits} that transformers returns, saved: scores {@code
 * [layer][token][expert]}. Routes are computed from them as the models do: softmax, top-k, weights
 * made to sum to 1.
 */
final class RouterLogits implements RouteBlocks {
  static final String NAME = "router-logits";

  /** What the saved numbers are. */
  enum Kind {
    LOGITS,
    PROBABILITIES
  }

  /** Yes or no. */
  enum Truth {
    TRUE,
    FALSE
  }

  static final FormatOption<Integer> TOP_K =
      FormatOption.integer("top-k", 1, "Experts that the model chooses for a token in a layer.");
  static final FormatOption<Kind> SCORES =
      FormatOption.choice("scores", Kind.class, "What the numbers are; else found by looking.");
  static final FormatOption<Truth> RENORMALIZE =
      FormatOption.choice(
          "renormalize", Truth.class, "Whether the weights of the chosen sum to 1 (true).");
  static final FormatOption<String> TENSORS =
      FormatOption.text("tensors", "What the names of the tensors to read begin with.");
  static final List<FormatOption<?>> OPTIONS =
      List.of(TOP_K, SCORES, RENORMALIZE, SequencePlaces.LENGTH, TENSORS);

  private static final int SAMPLE_TOKENS = 256;

  /** Rounding of 16-bit probabilities: half a unit in the last of 8 bits, for every expert. */
  private static final double TOLERANCE = 0.02;

  private final RouterLogitsFile file;
  private final ModelShape shape;
  private final Kind kind;
  private final boolean renormalize;
  private final SequencePlaces places;
  private final TopK choice;
  private float[] rows = {}; // [token][expert] of a layer

  private RouterLogits(
      RouterLogitsFile file,
      ModelShape shape,
      Kind kind,
      boolean renormalize,
      SequencePlaces places) {
    this.file = file;
    this.shape = shape;
    this.kind = kind;
    this.renormalize = renormalize;
    this.places = places;
    this.choice = new TopK(shape.experts(), shape.topK());
  }

  static RouterLogits open(TraceSource source) {
    FormatOptions options = source.options();
    RouterLogitsFile file = RouterLogitsFile.open(source.path(), options.find(TENSORS));
    try {
      int topK = options.require(TOP_K, source.path());
      if (topK > file.experts()) {
        throw new TraceFormatException(
            "Invalid top-k for %s: %d, at most the number of experts %d"
                .formatted(source.path(), topK, file.experts()));
      }

      if (source.experts().orElse(file.experts()) != file.experts()) {
        throw new TraceFormatException(
            "Invalid number of experts: %d by --experts, %d by %s"
                .formatted(source.experts().getAsInt(), file.experts(), source.path()));
      }

      Kind kind = options.find(SCORES).orElseGet(() -> sniff(file));
      return new RouterLogits(
          file,
          new ModelShape(file.layers(), file.experts(), topK),
          kind,
          options.find(RENORMALIZE).orElse(Truth.TRUE) == Truth.TRUE,
          SequencePlaces.open(source, file.tokens(), file.sequenceLength()));
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  /** Tells probabilities from logits by whether the numbers of a token sum to 1. */
  private static Kind sniff(RouterLogitsFile file) {
    int count = (int) Math.min(SAMPLE_TOKENS, file.tokens());
    float[] rows = new float[count * file.experts()];
    long sumToOne = 0;
    long others = 0;
    for (int layer = 0; layer < file.layers(); layer++) {
      file.read(layer, 0, count, rows);
      for (int token = 0; token < count; token++) {
        if (isDistribution(rows, token * file.experts(), file.experts())) {
          sumToOne++;
        } else {
          others++;
        }
      }
    }

    if (sumToOne > 0 && others > 0 && file.experts() > 1) {
      throw new TraceFormatException(
          "Cannot tell logits from probabilities in %s: of the first %d tokens, the numbers of %d rows sum to 1, those of %d do not. Maybe say it with --format-option scores=logits or scores=probabilities"
              .formatted(file.path(), count, sumToOne, others));
    }

    return sumToOne > others ? Kind.PROBABILITIES : Kind.LOGITS;
  }

  private static boolean isDistribution(float[] rows, int at, int experts) {
    double sum = 0;
    for (int expert = 0; expert < experts; expert++) {
      if (!(rows[at + expert] >= 0)) {
        return false;
      }

      sum += rows[at + expert];
    }

    return Math.abs(sum - 1) <= TOLERANCE;
  }

  @Override
  public ModelShape shape() {
    return shape;
  }

  @Override
  public long[] blockTokens() {
    return new long[] {file.tokens()};
  }

  @Override
  public boolean hasWeights() {
    return true;
  }

  @Override
  public void start(long token) {
    places.start(token);
  }

  @Override
  public RoutingTrace routes(int block, long from, int count) {
    return read(from, count, new float[0]);
  }

  @Override
  public Scores scores() {
    return kind == Kind.LOGITS ? Scores.LOGITS : Scores.PROBABILITIES;
  }

  @Override
  public RouterStates states(int block, long from, int count) {
    float[] scores = new float[count * shape.layers() * shape.experts()];
    RoutingTrace routes = read(from, count, scores);
    return RouterStates.of(routes, 0, new float[0], scores(), scores);
  }

  /** Reads routes and, if {@code scores} is not empty, scores {@code [token][layer][expert]}. */
  private RoutingTrace read(long from, int count, float[] scores) {
    int experts = shape.experts();
    RouteBuffer buffer =
        new RouteBuffer(shape, count, true, file.path(), token -> "token " + (from + token));
    if (rows.length < count * experts) {
      rows = new float[count * experts];
    }

    for (int layer = 0; layer < shape.layers(); layer++) {
      file.read(layer, from, count, rows);
      for (int token = 0; token < count; token++) {
        int at = token * experts;
        check(at, from + token, layer);
        choice.choose(rows, at);
        if (kind == Kind.LOGITS) {
          choice.softmax(rows, at);
        } else {
          choice.take(rows, at);
        }

        if (!(choice.weight(shape.topK() - 1) > 0) && kind == Kind.PROBABILITIES) {
          throw new TraceFormatException(
              "Cannot choose %d experts from %s at token %d, layer %d: fewer have a probability above 0. Maybe the model dropped the token for want of capacity, or top-k is smaller"
                  .formatted(shape.topK(), file.path(), from + token, layer));
        }

        if (renormalize) {
          choice.renormalize();
        }

        for (int rank = 0; rank < shape.topK(); rank++) {
          buffer.put(token, layer, rank, choice.expert(rank));
          buffer.weigh(token, layer, rank, choice.weight(rank));
        }

        if (scores.length > 0) {
          System.arraycopy(rows, at, scores, (token * shape.layers() + layer) * experts, experts);
        }
      }
    }

    places.read(buffer, from, count);
    return buffer.build();
  }

  private void check(int at, long token, int layer) {
    double sum = 0;
    for (int expert = 0; expert < shape.experts(); expert++) {
      float value = rows[at + expert];
      if (!Float.isFinite(value)) {
        throw new TraceFormatException(
            "Invalid router logit %s in %s at token %d, layer %d, expert %d: it must be finite"
                .formatted(value, file.path(), token, layer, expert));
      }

      if (kind == Kind.PROBABILITIES && value < 0) {
        throw new TraceFormatException(
            "Invalid probability %s in %s at token %d, layer %d, expert %d: at least 0. Maybe the numbers are scores=logits"
                .formatted(value, file.path(), token, layer, expert));
      }

      sum += value;
    }

    if (kind == Kind.PROBABILITIES && sum > 1 + TOLERANCE) {
      throw new TraceFormatException(
          "Invalid probabilities in %s at token %d, layer %d: their sum is %.4f, at most 1. Maybe the numbers are scores=logits"
              .formatted(file.path(), token, layer, sum));
    }
  }

  /** The file. */
  Path path() {
    return file.path();
  }

  @Override
  public void close() {
    file.close();
    places.close();
  }
}
