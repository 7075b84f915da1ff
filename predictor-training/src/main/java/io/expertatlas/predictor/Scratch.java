package io.expertatlas.predictor;

/** Arrays that one thread's forward passes reuse. */
public final class Scratch {
  final float[] lanes = new float[ChunkedMatrix.LANES];
  final float[][] hidden; // [chunk][ChunkedMatrix.CHUNK]
  final float[] units; // [rank]
  final float[][] cutUnits; // [chunk][ChunkedMatrix.CHUNK]

  Scratch(int hiddenSize, int rank) {
    this.hidden = new float[hiddenSize / ChunkedMatrix.CHUNK][ChunkedMatrix.CHUNK];
    this.units = new float[rank];
    this.cutUnits = new float[rank / ChunkedMatrix.CHUNK][ChunkedMatrix.CHUNK];
  }
}
