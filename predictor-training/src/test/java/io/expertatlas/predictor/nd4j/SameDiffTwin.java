package io.expertatlas.predictor.nd4j;

import java.util.Map;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** The network's loss as a SameDiff graph, whose gradients are derived, not written. */
final class SameDiffTwin {
  private final SameDiff graph = SameDiff.create();
  private final int heads;

  SameDiffTwin(float[][] weights, int width, int outputs, int rank, int heads, int rows) {
    this.heads = heads;
    SDVariable features = graph.placeHolder("features", DataType.FLOAT, rows, width);
    SDVariable target =
        graph.placeHolder("target", DataType.FLOAT, (long) rows * heads, outputs / heads);
    SDVariable w = graph.var("W", Nd4j.createFromArray(weights[0]).reshape('c', width, outputs));
    SDVariable scores = features.mmul(w);
    if (rank > 0) {
      SDVariable u = graph.var("U", Nd4j.createFromArray(weights[1]).reshape('c', width, rank));
      SDVariable v = graph.var("V", Nd4j.createFromArray(weights[2]).reshape('c', rank, outputs));
      scores = scores.add(graph.nn().relu(features.mmul(u), 0).mmul(v));
    }

    SDVariable byHead = graph.reshape(scores, (long) rows * heads, outputs / heads);
    SDVariable loss = target.mul(graph.nn().logSoftmax(byHead)).sum().mul(-1.0 / rows);
    loss.rename("loss");
    graph.setLossVariables("loss");
  }

  /** Gradients of W, U, V. */
  Map<String, INDArray> gradients(INDArray features, INDArray target, String... names) {
    return graph.calculateGradients(
        Map.of(
            "features",
            features,
            "target",
            target.reshape('c', features.rows() * (long) heads, -1)),
        names);
  }
}
