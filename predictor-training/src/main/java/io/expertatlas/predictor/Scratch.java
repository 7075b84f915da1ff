package io.expertatlas.predictor;

/** Arrays that one thread's forward passes reuse. */
public final class Scratch {
  final float[] lanes = new float[DotProducts.LANES];
  final float[] units; // [rank]

  Scratch(ExpertPredictor predictor) {
    int rank = 0;
    if (predictor instanceof AffinePredictor affine) {
      rank = affine.rank();
    }

    this.units = new float[rank];
  }
}
