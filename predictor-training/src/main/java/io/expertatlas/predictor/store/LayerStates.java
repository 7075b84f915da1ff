package io.expertatlas.predictor.store;

import io.expertatlas.predictor.PredictedModel;

/**
 * What the training of one layer reads of a trace's tokens, a row each: the input of its router and
 * what the layers do that it predicts. Not safe for several threads.
 */
public interface LayerStates {
  /** The model of the trace. */
  PredictedModel model();

  /** What the rows were read from, in words. */
  String origin();

  /** Number of rows. */
  int rows();

  /** Reads router inputs of consecutive rows, {@code [row][hidden]}, to an index on. */
  void readHidden(int row, int count, float[] into, int at);

  /** Reads gate distributions of the layers predicted, {@code [row][head][expert]}. */
  void readGates(int row, int count, float[] into, int at);

  /** Reads choices of the layer and of those predicted, {@code [row][1 + head][rank]}. */
  void readExperts(int row, int count, short[] into, int at);
}
