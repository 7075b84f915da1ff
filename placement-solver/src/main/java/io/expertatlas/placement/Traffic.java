package io.expertatlas.placement;

import java.util.Locale;
import java.util.Objects;

/**
 * What an engine sends between GPUs: hidden states, so many bytes each.
 *
 * @param parallelism where tokens wait between layers
 * @param hiddenSize numbers in a hidden state
 * @param bytesPerNumber 2 for bf16
 */
public record Traffic(Parallelism parallelism, int hiddenSize, int bytesPerNumber) {
  /** Where tokens wait between layers. */
  public enum Parallelism {
    /**
     * On a GPU of their own, to which their states return (SGLang, vLLM, TensorRT-LLM): {@code 2 *
     * (1 - 1/G)} copies for each GPU that a token touches in a layer, its home being any of G.
     */
    HOME,
    /**
     * Where their first choice ran (ExFlow, arXiv 2401.08383): a copy for each change of GPU, and
     * two for each further GPU of the other choices. Exact for top-1, otherwise at most this: an
     * expert of another rank may be on the GPU where the token is.
     */
    COHERENT;

    /** The word of {@code --parallelism}. */
    public String word() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if a number is not positive
   */
  public Traffic {
    Objects.requireNonNull(parallelism, "parallelism is null");
    if (hiddenSize < 1 || bytesPerNumber < 1) {
      throw new IllegalArgumentException(
          "Invalid hidden states: %d numbers of %d bytes, each at least 1"
              .formatted(hiddenSize, bytesPerNumber));
    }
  }

  /** The objective that has the fewest bytes. */
  public Objective objective() {
    return parallelism == Parallelism.HOME ? Objective.FANOUT : Objective.COPIES;
  }

  /** Bytes sent for a token through all its layers, on average; 0 for an empty trace. */
  public double bytesPerToken(PlacementCost cost) {
    if (cost.tokens() == 0) {
      return 0;
    }

    double gpus = cost.topology().gpus();
    double copies =
        parallelism == Parallelism.HOME
            ? 2 * (1 - 1 / gpus) * cost.gpuTouches()
            : cost.crossings() + 2.0 * (cost.gpuTouches() - cost.tokens() * cost.shape().layers());
    return copies * hiddenSize * bytesPerNumber / cost.tokens();
  }
}
