package io.expertatlas.predictor;

import java.io.Serializable;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Which sequences are trained on, which stop the training early, and which are held out. Sequences,
 * not tokens: neighbouring tokens resemble each other. Immutable.
 */
public final class SequenceSplit implements Serializable {
  private static final long serialVersionUID = 1;

  /** What a sequence is used for. */
  public enum Part {
    /** Gradients and counts come from these. */
    TRAIN,
    /** These choose the epoch whose weights are kept. */
    VALIDATION,
    /** Held out: these give the figures. */
    TEST
  }

  private final long seed;
  private final int[] validation; // ascending ids
  private final int[] test; // ascending ids

  /** A split by its ids; they are sorted. */
  public SequenceSplit(long seed, int[] validation, int[] test) {
    this.seed = seed;
    this.validation = validation.clone();
    this.test = test.clone();
    Arrays.sort(this.validation);
    Arrays.sort(this.test);
  }

  /**
   * Draws a split: the ids are shuffled, the first go to the test part, the next to validation.
   *
   * @param sequences ids, each once
   * @param testShare share of the sequences held out, above 0
   * @param validationShare share of the sequences for early stopping, above 0
   * @throws IllegalArgumentException if there are fewer than 3 sequences, or the shares leave none
   */
  public static SequenceSplit draw(
      int[] sequences, long seed, double testShare, double validationShare) {
    if (!(testShare > 0 && validationShare > 0 && testShare + validationShare < 1)) {
      throw new IllegalArgumentException(
          "Invalid shares: test %s and validation %s, each above 0, together below 1"
              .formatted(testShare, validationShare));
    }

    if (sequences.length < 3) {
      throw new IllegalArgumentException(
          "Cannot split %d sequences into train, validation and test: at least 3"
              .formatted(sequences.length));
    }

    int[] ids = sequences.clone();
    Arrays.sort(ids);
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = ids.length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swapped = ids[i];
      ids[i] = ids[j];
      ids[j] = swapped;
    }

    int test = atLeastOne(ids.length * testShare, ids.length - 2);
    int validation = atLeastOne(ids.length * validationShare, ids.length - 1 - test);
    return new SequenceSplit(
        seed, Arrays.copyOfRange(ids, test, test + validation), Arrays.copyOfRange(ids, 0, test));
  }

  private static int atLeastOne(double share, int most) {
    return (int) Math.max(1, Math.min(most, Math.round(share)));
  }

  /** The part of a sequence; one that was not there when the split was drawn is in TRAIN. */
  public Part part(int sequence) {
    if (Arrays.binarySearch(test, sequence) >= 0) {
      return Part.TEST;
    }

    return Arrays.binarySearch(validation, sequence) >= 0 ? Part.VALIDATION : Part.TRAIN;
  }

  /** The seed that it was drawn with. */
  public long seed() {
    return seed;
  }

  /** Ids of the validation part, ascending. */
  public int[] validation() {
    return validation.clone();
  }

  /** Ids of the held-out part, ascending. */
  public int[] test() {
    return test.clone();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SequenceSplit that
        && seed == that.seed
        && Arrays.equals(validation, that.validation)
        && Arrays.equals(test, that.test);
  }

  @Override
  public int hashCode() {
    return Long.hashCode(seed) * 31 + Arrays.hashCode(validation) + 7 * Arrays.hashCode(test);
  }

  @Override
  public String toString() {
    return "%d validation and %d test sequences, seed %d"
        .formatted(validation.length, test.length, seed);
  }
}
