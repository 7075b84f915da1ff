package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Tensor;
import java.util.function.Supplier;

/** Tells in a MoE layer which experts the next one will need. */
interface Foreteller {
  /**
   * What is known when the router of a layer has spoken.
   *
   * @param step the tokens
   * @param layer the MoE layer
   * @param choices {@code [T][k]}, of its router
   * @param guesses {@code [T][k]}, choices of the next layer that {@link #ask} wanted, or empty
   * @param input F32 {@code [T][H]}, of the router; asking for it waits for the device
   */
  record Spoken(Step step, int layer, int[] choices, int[] guesses, Supplier<float[]> input) {}

  /**
   * Calls what is to be computed before the host reads the choices of a layer: choices of the next
   * one, in their place.
   *
   * @param rank the tokens
   * @param input {@code [T, H]} of the layer's router
   * @return whether it did
   */
  default boolean ask(int layer, MoeRank rank, Tensor input) {
    return false;
  }

  /** The experts of the next layer; behind the last layer, of the next step's first one. */
  Foretold next(Spoken spoken);
}
