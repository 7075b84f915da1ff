package io.expertatlas.runtime.pipeline;

import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a profile of a training's layer says besides experts and loads: the micro-batch that was
 * profiled, and what each piece of a step takes that does not depend on tokens. Immutable.
 */
public final class TrainingProfile {
  /**
   * Rows of an expert of a step up to which the CPU beside a device does not write the gradients of
   * its weights out, but keeps what they are the products of for the optimizer.
   */
  public static final int KEPT_ROWS = 64;

  /** Pieces, timed one by one. */
  public enum Piece {
    /** An expert to the device, one behind the other, while the CPU computes experts. */
    LOAD_BESIDE_CPU,
    /** The gradients of an expert from the device to the host. */
    STORE_EXPERT,
    /** Those of the attention with its norms. */
    STORE_ATTENTION,
    /** Those of the gate. */
    STORE_GATE,
    /** The embedding to the device. */
    LOAD_EMBEDDING,
    /** Its gradients to the host. */
    STORE_EMBEDDING,
    /** The head to the device. */
    LOAD_HEAD,
    /** Its gradients to the host. */
    STORE_HEAD,
    /** Zeros for the gradients of an expert on the device. */
    CLEAR_EXPERT,
    /** For those of the attention with its norms. */
    CLEAR_ATTENTION,
    /** For those of the gate. */
    CLEAR_GATE,
    /** For those of the embedding. */
    CLEAR_EMBEDDING,
    /** For those of the head. */
    CLEAR_HEAD,
    /** Zeros for the gradients of an expert that the CPU computes, of more rows than are kept. */
    CLEAR_CPU_EXPERT,
    /** Those gradients to where the optimizer reads them. */
    STORE_CPU_EXPERT,
    /** A step of the optimizer on all parameters that were profiled. */
    OPTIMIZER
  }

  private final Sizes sizes;
  private final Map<Piece, double[]> samples = new TreeMap<>();
  private final double[] nanos = new double[Piece.values().length];

  /**
   * What was profiled.
   *
   * @param experts of a layer
   * @param topK experts of a token
   * @param heads of the attention
   * @param vocabulary rows of embedding and head
   * @param tokens of a micro-batch
   * @param sequenceLength tokens of a sequence
   * @param peakBytes of the device in a layer's step: weights, gradients, activations
   * @param optimizerParameters numbers that a step of the optimizer changed
   */
  public record Sizes(
      int experts,
      int topK,
      int heads,
      int vocabulary,
      int tokens,
      int sequenceLength,
      long peakBytes,
      long optimizerParameters) {
    /**
     * Checks the sizes.
     *
     * @throws IllegalArgumentException if one is below 1
     */
    public Sizes {
      long[] all = {
        experts, topK, heads, vocabulary, tokens, sequenceLength, peakBytes, optimizerParameters
      };
      if (Arrays.stream(all).anyMatch(size -> size < 1)) {
        throw new IllegalArgumentException(
            ("Invalid profile of a training: experts, top-k, heads, vocabulary, tokens, sequence"
                    + " length, peak bytes, optimizer's parameters %s, at least 1 each")
                .formatted(Arrays.toString(all)));
      }
    }
  }

  /**
   * A profile.
   *
   * @param samples nanoseconds of each piece
   * @throws IllegalArgumentException if a piece is missing or a sample is not positive
   */
  public TrainingProfile(Sizes sizes, Map<Piece, double[]> samples) {
    this.sizes = sizes;
    for (Piece piece : Piece.values()) {
      double[] found = samples.get(piece);
      if (found == null) {
        throw new IllegalArgumentException(
            "Invalid profile of a training: it has no times of " + piece);
      }

      this.samples.put(piece, found.clone());
      nanos[piece.ordinal()] = TokenCurve.median(found);
    }
  }

  /** What was profiled. */
  public Sizes sizes() {
    return sizes;
  }

  /** The median of a piece, nanoseconds. */
  public double nanos(Piece piece) {
    return nanos[piece.ordinal()];
  }

  /** Nanoseconds of the optimizer a parameter. */
  public double optimizerNanos() {
    return nanos(Piece.OPTIMIZER) / sizes.optimizerParameters();
  }

  /** Samples of a piece, nanoseconds. */
  public double[] samples(Piece piece) {
    return samples.get(piece).clone();
  }
}
