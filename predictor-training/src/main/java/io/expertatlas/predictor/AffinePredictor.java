package io.expertatlas.predictor;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Predicts from the router's input: next gate early, the pre-gate and its extensions. Layer l's
 * tensors are named {@code layer.l.weight}, {@code bias}, {@code route}, {@code down}, {@code
 * unit-bias}, {@code unit-route}, {@code up}; see {@link AffineHeads}.
 */
public final class AffinePredictor implements ExpertPredictor {
  private final PredictorKind kind;
  private final PredictedModel model;
  private final int lookahead;
  private final List<AffineHeads> layers; // [layer], without the last, which predicts nothing
  private final List<HeadsForward> forwards; // of the layers

  /**
   * Creates a predictor.
   *
   * @param layers the heads of every layer but the last
   * @throws IllegalArgumentException if they do not fit the model
   */
  public AffinePredictor(
      PredictorKind kind, PredictedModel model, int lookahead, List<AffineHeads> layers) {
    this.kind = kind;
    this.model = model;
    this.lookahead = lookahead;
    this.layers = List.copyOf(layers);
    if (layers.size() != model.shape().layers() - 1) {
      throw new IllegalArgumentException(
          "Invalid heads: of %d layers, expected %d"
              .formatted(layers.size(), model.shape().layers() - 1));
    }

    for (int layer = 0; layer < layers.size(); layer++) {
      AffineHeads heads = layers.get(layer);
      int outputs = heads(layer) * model.shape().experts();
      if (heads.outputs() != outputs || heads.weight().length != outputs * model.hiddenSize()) {
        throw new IllegalArgumentException(
            "Invalid heads of layer %d: %d outputs and %d weights, expected %d and %d"
                .formatted(
                    layer,
                    heads.outputs(),
                    heads.weight().length,
                    outputs,
                    outputs * model.hiddenSize()));
      }
    }

    this.forwards =
        layers.stream().map(heads -> new HeadsForward(heads, model.hiddenSize())).toList();
  }

  /**
   * Next gate early: layer l + h's own gate on layer l's router input.
   *
   * @param gates {@code [layer]} of {@code [expert][hidden]}
   * @param biases {@code [layer]} of {@code [expert]}, or of nothing
   */
  public static AffinePredictor nextGate(
      PredictedModel model, int lookahead, float[][] gates, float[][] biases) {
    List<AffineHeads> layers = new ArrayList<>();
    int experts = model.shape().experts();
    for (int layer = 0; layer < model.shape().layers() - 1; layer++) {
      int heads = model.heads(layer, lookahead);
      float[] weight = new float[heads * experts * model.hiddenSize()];
      float[] bias = new float[heads * experts];
      for (int h = 0; h < heads; h++) {
        float[] gate = gates[layer + 1 + h];
        System.arraycopy(gate, 0, weight, h * gate.length, gate.length);
        float[] gateBias = biases[layer + 1 + h];
        System.arraycopy(gateBias, 0, bias, h * experts, gateBias.length);
      }

      layers.add(AffineHeads.linear(heads * experts, weight, bias));
    }

    return new AffinePredictor(PredictorKind.NEXT_GATE, model, lookahead, layers);
  }

  /** The predictor of the tensors that {@link #tensors} gives. */
  static AffinePredictor ofTensors(
      PredictorKind kind, PredictedModel model, int lookahead, TensorTable tensors) {
    List<AffineHeads> layers = new ArrayList<>();
    int experts = model.shape().experts();
    for (int layer = 0; layer < model.shape().layers() - 1; layer++) {
      String prefix = "layer.%d.".formatted(layer);
      int outputs = model.heads(layer, lookahead) * experts;
      boolean routes = kind == PredictorKind.AFFINE_ROUTE || kind == PredictorKind.RESIDUAL;
      boolean units = kind == PredictorKind.RESIDUAL;
      int rank = units ? tensors.rows(prefix + "down") : 0;
      float[] none = {};
      layers.add(
          new AffineHeads(
              outputs,
              rank,
              tensors.take(prefix + "weight", outputs, model.hiddenSize()),
              tensors.take(prefix + "bias", outputs),
              routes ? tensors.take(prefix + "route", experts, outputs) : none,
              units ? tensors.take(prefix + "down", rank, model.hiddenSize()) : none,
              units ? tensors.take(prefix + "unit-bias", rank) : none,
              units ? tensors.take(prefix + "unit-route", experts, rank) : none,
              units ? tensors.take(prefix + "up", outputs, rank) : none));
    }

    return new AffinePredictor(kind, model, lookahead, layers);
  }

  @Override
  public PredictorKind kind() {
    return kind;
  }

  @Override
  public PredictedModel model() {
    return model;
  }

  @Override
  public int lookahead() {
    return lookahead;
  }

  @Override
  public Scratch scratch() {
    return new Scratch(
        model.hiddenSize(), layers.stream().mapToInt(AffineHeads::rank).max().orElse(0));
  }

  /** The heads of every layer but the last. */
  public List<AffineHeads> heads() {
    return layers;
  }

  @Override
  public void predict(int layer, TokenState token, Scratch scratch, float[] into) {
    if (layer < layers.size()) {
      forwards.get(layer).predict(token, scratch, into);
    }
  }

  @Override
  public long multiplyAdds(int layer) {
    return layer < layers.size() ? layers.get(layer).multiplyAdds() : 0;
  }

  @Override
  public Map<String, WeightTensor> tensors() {
    Map<String, WeightTensor> tensors = new LinkedHashMap<>();
    for (int layer = 0; layer < layers.size(); layer++) {
      layers
          .get(layer)
          .addTo(
              tensors, "layer.%d.".formatted(layer), model.hiddenSize(), model.shape().experts());
    }

    return tensors;
  }
}
