package io.expertatlas.predictor;

import java.io.Serializable;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The heads of one layer: all its head-outs in one map,
 *
 * <pre>
 * z = bias + sum over chosen e of route[e] + weight x + up relu(unitBias + sum unitRoute[e] + down x)
 * </pre>
 *
 * where x is the router's input. Parts that a predictor lacks are empty arrays. Immutable; arrays
 * are taken over.
 *
 * @param outputs {@code heads * experts}
 * @param rank rectified units; 0: none
 * @param weight {@code [outputs][hidden]}
 * @param bias {@code [outputs]}
 * @param route {@code [expert][outputs]}, or empty
 * @param down {@code [rank][hidden]}
 * @param unitBias {@code [rank]}
 * @param unitRoute {@code [expert][rank]}, or empty
 * @param up {@code [outputs][rank]}
 */
@SuppressWarnings("ArrayRecordComponent") // dense weights, handed over once
public record AffineHeads(
    int outputs,
    int rank,
    float[] weight,
    float[] bias,
    float[] route,
    float[] down,
    float[] unitBias,
    float[] unitRoute,
    float[] up)
    implements Serializable {
  private static final float[] NONE = {};

  /** Checks that the lengths fit each other. */
  public AffineHeads {
    Objects.requireNonNull(weight, "weight is null");
    if (bias.length != outputs
        || weight.length % Math.max(1, outputs) != 0
        || unitBias.length != rank
        || up.length != outputs * rank
        || down.length % Math.max(1, rank) != 0) {
      throw new IllegalArgumentException(
          "Invalid heads: %d outputs, rank %d, but %d weights, %d biases, %d up, %d down"
              .formatted(outputs, rank, weight.length, bias.length, up.length, down.length));
    }
  }

  /** Heads of a linear map alone. */
  public static AffineHeads linear(int outputs, float[] weight, float[] bias) {
    return new AffineHeads(outputs, 0, weight, bias, NONE, NONE, NONE, NONE, NONE);
  }

  /** Multiply-adds of a token. */
  long multiplyAdds() {
    return (long) weight.length + down.length + up.length;
  }

  void addTo(Map<String, WeightTensor> tensors, String prefix, int hidden, int experts) {
    tensors.put(prefix + "weight", tensor(weight, outputs, hidden));
    tensors.put(prefix + "bias", new WeightTensor(List.of(outputs), bias));
    if (route.length > 0) {
      tensors.put(prefix + "route", tensor(route, experts, outputs));
    }

    if (rank > 0) {
      tensors.put(prefix + "down", tensor(down, rank, hidden));
      tensors.put(prefix + "unit-bias", new WeightTensor(List.of(rank), unitBias));
      tensors.put(prefix + "unit-route", tensor(unitRoute, experts, rank));
      tensors.put(prefix + "up", tensor(up, outputs, rank));
    }
  }

  private static WeightTensor tensor(float[] values, int rows, int columns) {
    return new WeightTensor(List.of(rows, columns), values);
  }
}
