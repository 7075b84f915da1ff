package io.expertatlas.trace.format;

import io.expertatlas.trace.Phase;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.torch.TorchValue;
import java.util.Arrays;
import java.util.Optional;

/** Finds the sequences of passes without request ids; see {@link SglangFormat} for the rule. */
final class SglangSequences {
  /** Of the tokens of a pass. */
  record Columns(int[] sequence, int[] position, byte[] phase) {}

  private int next; // id of the next new sequence
  private int[] ids = {}; // [row] of the pass before
  private int[] ends = {}; // [row] of the pass before: position after its last token

  /**
   * The columns of the next pass.
   *
   * @param newRank whether nothing before belongs to the same rank
   */
  Columns pass(TorchValue record, int tokens, boolean newRank) {
    int[] position = positions(record, tokens);
    int[] rows = rows(record, tokens);
    boolean decode = record.find("extend_seq_lens").isEmpty();
    boolean goesOn = !newRank && rows.length == ids.length;
    for (int row = 0, at = 0; goesOn && row < rows.length; at += rows[row++]) {
      goesOn = position[at] > 0 && position[at] == ends[row];
    }

    int[] now = goesOn ? ids : newIds(record, rows.length);
    int[] sequence = new int[tokens];
    byte[] phase = new byte[tokens];
    int[] after = new int[rows.length];
    for (int row = 0, at = 0; row < rows.length; at += rows[row++]) {
      boolean generated = decode || rows[row] == 1 && position[at] > 0;
      Arrays.fill(sequence, at, at + rows[row], now[row]);
      Arrays.fill(
          phase, at, at + rows[row], (byte) (generated ? Phase.DECODE : Phase.PREFILL).code());
      after[row] = position[at + rows[row] - 1] + 1;
    }

    if (tokens > 0) { // an idle pass interrupts nothing
      ids = now;
      ends = after;
    }

    return new Columns(sequence, position, phase);
  }

  private int[] newIds(TorchValue record, int rows) {
    if (next > Integer.MAX_VALUE - rows) {
      throw new TraceFormatException(
          "Cannot number the sequences of %s: more than %d"
              .formatted(record.at(), Integer.MAX_VALUE));
    }

    int[] fresh = new int[rows];
    for (int row = 0; row < rows; row++) {
      fresh[row] = next++;
    }

    return fresh;
  }

  private static int[] positions(TorchValue record, int tokens) {
    TorchValue value = record.key("positions");
    long[] numbers = value.integers();
    if (numbers.length != tokens) {
      throw new TraceFormatException(
          "Invalid number of positions at %s: %d for %d tokens"
              .formatted(value.at(), numbers.length, tokens));
    }

    int[] positions = new int[tokens];
    for (int token = 0; token < tokens; token++) {
      if (numbers[token] < 0 || numbers[token] > Integer.MAX_VALUE - 1) {
        throw new TraceFormatException(
            "Invalid position %d at %s, token %d: 0 to %d"
                .formatted(numbers[token], value.at(), token, Integer.MAX_VALUE - 1));
      }

      positions[token] = (int) numbers[token];
    }

    return positions;
  }

  /** Tokens of each row of a pass. */
  private static int[] rows(TorchValue record, int tokens) {
    Optional<TorchValue> lengths = record.find("extend_seq_lens");
    if (lengths.isEmpty()) {
      int[] ones = new int[tokens];
      Arrays.fill(ones, 1);
      return ones;
    }

    long[] numbers = lengths.get().integers();
    int[] rows = new int[numbers.length];
    long sum = 0;
    int used = 0;
    for (long number : numbers) {
      if (number < 0 || number > tokens) {
        throw lengths.get().wrong("lengths from 0 to the %d tokens".formatted(tokens));
      }

      sum += number;
      if (number > 0) {
        rows[used++] = (int) number;
      }
    }

    if (sum != tokens) {
      throw new TraceFormatException(
          "Invalid lengths at %s: their sum is %d, but the pass has %d tokens"
              .formatted(lengths.get().at(), sum, tokens));
    }

    return Arrays.copyOf(rows, used);
  }
}
