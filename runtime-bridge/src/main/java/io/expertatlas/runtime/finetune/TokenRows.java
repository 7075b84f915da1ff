package io.expertatlas.runtime.finetune;

import io.expertatlas.runtime.train.TokenBatch;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Text as rows of equally many tokens. Documents follow each other in an order drawn by seed, cut
 * into rows wherever they end; tokens behind the last whole row are left out. The last rows are
 * held out: at most one document has a part on either side. Immutable.
 */
public final class TokenRows {
  private final List<int[]> train;
  private final List<int[]> heldOut;
  private final long seed;

  private TokenRows(List<int[]> train, List<int[]> heldOut, long seed) {
    this.train = List.copyOf(train);
    this.heldOut = List.copyOf(heldOut);
    this.seed = seed;
  }

  /**
   * Packs documents.
   *
   * @param documents token ids of each
   * @throws IllegalArgumentException if they do not fill a row to train on and one to hold out
   */
  public static TokenRows pack(List<int[]> documents, int length, double heldOut, long seed) {
    List<int[]> drawn = new ArrayList<>(documents);
    shuffle(drawn, seed);
    int[] stream = drawn.stream().flatMapToInt(Arrays::stream).toArray();
    int rows = stream.length / length;
    int held = (int) Math.max(1, Math.round(rows * heldOut));
    if (rows - held < 1) {
      throw new IllegalArgumentException(
          ("Not enough text: %d tokens in %d documents are %d rows of %d, needed is one to train on"
                  + " and one to hold out. Maybe lower --sequence-length")
              .formatted(stream.length, documents.size(), rows, length));
    }

    List<int[]> all = new ArrayList<>();
    for (int row = 0; row < rows; row++) {
      all.add(Arrays.copyOfRange(stream, row * length, (row + 1) * length));
    }

    return new TokenRows(all.subList(0, rows - held), all.subList(rows - held, rows), seed);
  }

  private static void shuffle(List<int[]> list, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = list.size() - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int[] moved = list.get(i);
      list.set(i, list.get(j));
      list.set(j, moved);
    }
  }

  /** Rows to train on. */
  public int trainRows() {
    return train.size();
  }

  /** Rows that are held out, in groups of at most so many. */
  List<TokenBatch> heldOut(int sequences) {
    List<TokenBatch> batches = new ArrayList<>();
    for (int first = 0; first < heldOut.size(); first += sequences) {
      batches.add(
          new TokenBatch(heldOut.subList(first, Math.min(heldOut.size(), first + sequences))));
    }

    return batches;
  }

  /** Number of rows that are held out. */
  public int heldOutRows() {
    return heldOut.size();
  }

  /** The rows of a step, from 0: each pass over the text goes in an order of its own. */
  public List<int[]> batch(int step, int sequences) {
    List<int[]> rows = new ArrayList<>();
    long first = (long) step * sequences;
    int[] order = order(first / train.size());
    for (long i = first; i < first + sequences; i++) {
      if (i > first && i % train.size() == 0) {
        order = order(i / train.size());
      }

      rows.add(train.get(order[(int) (i % train.size())]));
    }

    return rows;
  }

  private int[] order(long pass) {
    SplittableRandom random = new SplittableRandom(seed + 0x9E3779B97F4A7C15L * (pass + 1));
    int[] order = new int[train.size()];
    for (int i = 0; i < order.length; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }

    return order;
  }

  /** SHA-256 of all rows. */
  String digest() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (List<int[]> part : List.of(train, heldOut)) {
        for (int[] row : part) {
          ByteBuffer bytes = ByteBuffer.allocate(row.length * Integer.BYTES);
          bytes.asIntBuffer().put(row);
          digest.update(bytes.array());
        }

        digest.update((byte) 0);
      }

      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java has SHA-256", e);
    }
  }
}
