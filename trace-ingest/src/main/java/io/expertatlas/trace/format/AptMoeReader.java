package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.format.AptMoeDump.Prompt;
import io.expertatlas.trace.torch.TorchFile;
import java.util.Arrays;
import java.util.Optional;

/** Reads a range of the tokens of an APTMoE recording, a prompt or a part of one at a time. */
final class AptMoeReader implements RouterStatesReader {
  private static final int BATCH_VALUES = 1 << 21;
  private static final float SUM_TOLERANCE = 0.01f;

  private final AptMoeDump dump;
  private final TokenRange range;
  private final long tokens;
  private int prompt;
  private long before; // tokens of the prompts before
  private int read; // tokens of this prompt that were read or passed over
  private TorchFile gates; // of the prompt that is read, or null
  private TorchFile hidden; // the same
  private AptMoeArray gateArray;
  private AptMoeArray hiddenArray;

  AptMoeReader(AptMoeDump dump, TokenRange range) {
    this.dump = dump;
    this.range = range;
    this.tokens = dump.prompts().stream().mapToLong(one -> one.tokens().length).sum();
  }

  @Override
  public ModelShape shape() {
    return dump.shape();
  }

  @Override
  public long tokens() {
    return tokens;
  }

  @Override
  public int hiddenSize() {
    return dump.hiddenSize();
  }

  @Override
  public Scores scores() {
    return Scores.PROBABILITIES;
  }

  @Override
  public Optional<RouterStates> next() {
    while (prompt < dump.prompts().size() && before + read < range.to()) {
      Prompt current = dump.prompts().get(prompt);
      int all = current.tokens().length;
      read = (int) Math.max(read, Math.min(all, range.from() - before));
      if (read < all) {
        open(current);
        long values = (long) shape().layers() * Math.max(hiddenSize(), shape().experts());
        int most = (int) Math.max(1, BATCH_VALUES / values);
        int count = (int) Math.min(Math.min(most, all - read), range.to() - before - read);
        while (current.tokens()[read + count - 1] - current.tokens()[read] >= most) {
          count--; // rows are read from the first to the last of a batch
        }

        RouterStates batch = batch(current, count);
        read += count;
        return Optional.of(batch);
      }

      before += all;
      read = 0;
      prompt++;
      close();
    }

    return Optional.empty();
  }

  private void open(Prompt current) {
    if (gates == null) {
      gates = TorchFile.open(current.gates());
      gateArray = AptMoeArray.of(gates);
      if (current.hidden().isPresent()) {
        hidden = TorchFile.open(current.hidden().get());
        hiddenArray = AptMoeArray.of(hidden);
      }
    }
  }

  private RouterStates batch(Prompt current, int count) {
    int experts = shape().experts();
    float[] scores = new float[count * shape().layers() * experts];
    gateArray.read(current.tokens(), read, count, scores);
    short[] ids = new short[count * shape().choicesPerToken()];
    for (int row = 0; row < count * shape().layers(); row++) {
      choose(current, scores, row, ids);
    }

    float[] states = new float[count * shape().layers() * hiddenSize()];
    if (hiddenSize() > 0) {
      hiddenArray.read(current.tokens(), read, count, states);
    }

    int[] sequence = new int[count];
    Arrays.fill(sequence, current.id());
    RoutingTrace routes =
        RoutingTrace.of(
            shape(),
            ids,
            new float[0],
            sequence,
            Arrays.copyOfRange(current.tokens(), read, read + count),
            new byte[count]);
    return RouterStates.of(routes, hiddenSize(), states, Scores.PROBABILITIES, scores);
  }

  /** The largest scores of a row, which has been checked; equal ones by expert. */
  private void choose(Prompt current, float[] scores, int row, short[] ids) {
    int experts = shape().experts();
    int topK = shape().topK();
    int from = row * experts;
    float sum = 0;
    int ones = 0;
    for (int expert = 0; expert < experts; expert++) {
      float score = scores[from + expert];
      if (score < 0 || score > 1 || dump.mask() && score != 0 && score != 1) {
        throw wrong(
            current,
            row,
            "score %s of expert %d, expected %s"
                .formatted(score, expert, dump.mask() ? "0 or 1" : "a probability"));
      }

      sum += score;
      ones += score == 1 ? 1 : 0;
    }

    if (dump.mask() && ones != topK) {
      throw wrong(
          current,
          row,
          "%d experts, expected top-k %d. Maybe %s"
              .formatted(
                  ones,
                  topK,
                  ones < topK
                      ? "leave such tokens out with --format-option incomplete=skip"
                      : "top-k is wrong"));
    }

    if (!dump.mask() && Math.abs(sum - 1) > SUM_TOLERANCE) {
      throw wrong(current, row, "probabilities with sum %s, expected 1".formatted(sum));
    }

    for (int rank = 0; rank < topK; rank++) {
      int best = -1;
      for (int expert = 0; expert < experts; expert++) {
        boolean free = true;
        for (int earlier = 0; earlier < rank; earlier++) {
          free &= (ids[row * topK + earlier] & 0xffff) != expert;
        }

        if (free && (best < 0 || scores[from + expert] > scores[from + best])) {
          best = expert;
        }
      }

      ids[row * topK + rank] = (short) best;
    }
  }

  private TraceFormatException wrong(Prompt current, int row, String what) {
    return new TraceFormatException(
        "Invalid gate result in %s at layer %d, token %d: %s"
            .formatted(
                current.gates(),
                row % shape().layers(),
                current.tokens()[read + row / shape().layers()],
                what));
  }

  @Override
  public void close() {
    if (gates != null) {
      gates.close();
      gates = null;
    }

    if (hidden != null) {
      hidden.close();
      hidden = null;
    }
  }
}
