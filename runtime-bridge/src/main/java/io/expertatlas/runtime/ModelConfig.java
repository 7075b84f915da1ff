package io.expertatlas.runtime;

import io.expertatlas.trace.ModelShape;

/** The shape facts of a model that the executor can run; nothing of weights or state. */
public sealed interface ModelConfig permits MixtralConfig, NllbMoeConfig {
  /** The name of the architecture in checkpoints. */
  String architecture();

  /** Hidden size H: numbers of a token's vector. */
  int hidden();

  /** Number of token ids. */
  int vocabulary();

  /** Its MoE layers, as traces and placements count them. */
  ModelShape shape();

  /** The id that ends a sequence. */
  int endOfSequence();

  /** The largest number of positions it was made for. */
  int maxPositions();
}
