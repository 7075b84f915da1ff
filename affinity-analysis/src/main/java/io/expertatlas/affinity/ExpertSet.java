package io.expertatlas.affinity;

import java.util.List;

/**
 * A set of experts that tokens chose together in one layer, whatever their ranks, and how many did.
 *
 * @param experts layer-local ids in ascending order
 * @param tokens number of tokens
 */
public record ExpertSet(List<Integer> experts, long tokens) {
  /**
   * Copies the list.
   *
   * @throws IllegalArgumentException if the ids do not ascend or no token chose the set
   */
  public ExpertSet {
    experts = List.copyOf(experts);
    for (int i = 1; i < experts.size(); i++) {
      if (experts.get(i) <= experts.get(i - 1)) {
        throw new IllegalArgumentException(
            "Invalid expert set: %s does not ascend".formatted(experts));
      }
    }

    if (tokens < 1) {
      throw new IllegalArgumentException(
          "Invalid expert set: %s with %d tokens, at least 1".formatted(experts, tokens));
    }
  }
}
