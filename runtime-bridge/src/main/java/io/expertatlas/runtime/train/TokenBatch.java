package io.expertatlas.runtime.train;

import java.util.Arrays;
import java.util.List;

/**
 * Sequences of one length. Each token but a sequence's first is to be foretold from those before.
 *
 * @param sequences token ids, all rows equally long
 */
public record TokenBatch(List<int[]> sequences) {
  /**
   * Checks the rows.
   *
   * @throws IllegalArgumentException if there is none, one is shorter than 2, or lengths differ
   */
  public TokenBatch {
    sequences = List.copyOf(sequences);
    if (sequences.isEmpty()) {
      throw new IllegalArgumentException("Invalid batch: it has no sequence");
    }

    for (int[] sequence : sequences) {
      if (sequence.length < 2 || sequence.length != sequences.get(0).length) {
        throw new IllegalArgumentException(
            "Invalid batch: sequences of %d and %d tokens, expected equally many, at least 2"
                .formatted(sequences.get(0).length, sequence.length));
      }
    }
  }

  /** Tokens of each sequence. */
  int length() {
    return sequences.get(0).length;
  }

  /** Number of tokens. */
  public int tokens() {
    return sequences.size() * length();
  }

  /** Number of tokens that are to be foretold. */
  public long targets() {
    return (long) sequences.size() * (length() - 1);
  }

  /** The token that follows each, -1 at the end of a sequence. */
  int[] next() {
    int[] next = new int[tokens()];
    for (int i = 0; i < next.length; i++) {
      int place = (i + 1) % length();
      next[i] = place == 0 ? -1 : sequences.get(i / length())[place];
    }

    return next;
  }

  /** All ids, sequence by sequence. */
  int[] ids() {
    return sequences.stream().flatMapToInt(Arrays::stream).toArray();
  }

  /**
   * Equal parts, in order.
   *
   * @throws IllegalArgumentException if the sequences do not divide
   */
  List<TokenBatch> split(int parts) {
    if (parts < 1 || sequences.size() % parts != 0) {
      throw new IllegalArgumentException(
          "Invalid number of micro-batches: %d, a divisor of the %d sequences of a batch"
              .formatted(parts, sequences.size()));
    }

    int each = sequences.size() / parts;
    TokenBatch[] batches = new TokenBatch[parts];
    for (int part = 0; part < parts; part++) {
      batches[part] = new TokenBatch(sequences.subList(part * each, (part + 1) * each));
    }

    return List.of(batches);
  }
}
