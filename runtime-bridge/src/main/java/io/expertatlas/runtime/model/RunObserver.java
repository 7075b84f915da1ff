package io.expertatlas.runtime.model;

/** Is told what a run does; {@link #NONE} does not listen. */
public interface RunObserver {
  /** Listens to nothing. */
  RunObserver NONE = routes -> {};

  /** Tokens went through the MoE layers of a stack (all of a decoder, or of an encoder). */
  void routed(Routes routes);
}
