package io.expertatlas.runtime.train;

/**
 * What to profile of a layer.
 *
 * @param name of the table
 * @param machine in words
 * @param cpuThreads that compute an expert on the CPU
 * @param sequences of a micro-batch
 * @param sequenceLength tokens of each
 * @param topK experts of a token
 * @param samples of each time
 */
public record ProfileSettings(
    String name,
    String machine,
    int cpuThreads,
    int sequences,
    int sequenceLength,
    int topK,
    int samples) {
  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is impossible
   */
  public ProfileSettings {
    if (cpuThreads < 1 || sequences < 1 || sequenceLength < 2 || topK < 1 || samples < 1) {
      throw new IllegalArgumentException(
          ("Invalid profile: %d threads, %d sequences of %d tokens, top-%d, %d samples; at least"
                  + " 1 each, 2 tokens")
              .formatted(cpuThreads, sequences, sequenceLength, topK, samples));
    }
  }

  int tokens() {
    return Math.multiplyExact(sequences, sequenceLength);
  }
}
