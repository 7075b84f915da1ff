package io.expertatlas.placement.format;

import io.expertatlas.placement.PlacementFormatException;
import java.util.stream.IntStream;

/**
 * Where the layers of a placement stand in the model: a placement counts MoE layers only, an engine
 * also counts dense layers before and between them, and extra layers for multi-token prediction
 * (MTP) behind them. Immutable.
 */
public final class LayerRows {
  private final int[] modelLayer; // [layer of the placement]
  private final int hiddenLayers;
  private final int mtpLayers;
  private final boolean known;

  private LayerRows(int[] modelLayer, int hiddenLayers, int mtpLayers, boolean known) {
    this.modelLayer = modelLayer;
    this.hiddenLayers = hiddenLayers;
    this.mtpLayers = mtpLayers;
    this.known = known;
  }

  /** For a model of which nothing is known: its layers are those of the placement, 0 on. */
  public static LayerRows plain(int layers) {
    return new LayerRows(IntStream.range(0, layers).toArray(), layers, 0, false);
  }

  /**
   * For a model with a configuration. The layers of the placement are its MoE layers in order, with
   * or without those for multi-token prediction at the end.
   *
   * @param layers layers of the placement
   * @param experts experts of each
   * @throws PlacementFormatException if the model has other numbers of them
   */
  public static LayerRows of(ModelConfig config, int layers, int experts) {
    if (config.experts() != experts) {
      throw new PlacementFormatException(
          "Cannot use %s: the model has %d experts in a layer, here are %d"
              .formatted(config.file(), config.experts(), experts));
    }

    int moe = config.moeLayers().size();
    if (layers != moe && layers != moe + config.mtpLayers()) {
      throw new PlacementFormatException(
          "Cannot use %s: %d of the model's %d layers are MoE layers%s, here are %d"
              .formatted(
                  config.file(),
                  moe,
                  config.hiddenLayers(),
                  config.mtpLayers() == 0
                      ? ""
                      : " (and %d more for MTP)".formatted(config.mtpLayers()),
                  layers));
    }

    int[] modelLayer = new int[layers];
    for (int layer = 0; layer < layers; layer++) {
      modelLayer[layer] =
          layer < moe ? config.moeLayers().get(layer) : config.hiddenLayers() + layer - moe;
    }

    return new LayerRows(modelLayer, config.hiddenLayers(), config.mtpLayers(), true);
  }

  /** Whether a configuration told; if not, dense layers and MTP are unknown. */
  public boolean isKnown() {
    return known;
  }

  /** Layers of the placement. */
  public int layers() {
    return modelLayer.length;
  }

  /** The number that the model gives a layer of the placement. */
  public int modelLayer(int layer) {
    return modelLayer[layer];
  }

  /** Layers of the model, dense ones included, MTP excluded. */
  public int hiddenLayers() {
    return hiddenLayers;
  }

  /** Layers for multi-token prediction: they follow the others. */
  public int mtpLayers() {
    return mtpLayers;
  }

  /** Layers of the placement that are not for multi-token prediction. */
  public int moeLayers() {
    return (int) IntStream.of(modelLayer).filter(layer -> layer < hiddenLayers).count();
  }

  /** Layers of the placement that are for multi-token prediction: all of the model or none. */
  public int placedMtpLayers() {
    return layers() - moeLayers();
  }

  /** The layer of the placement that stands at a place in the model, or -1. */
  public int layerAt(int atModelLayer) {
    for (int layer = 0; layer < modelLayer.length; layer++) {
      if (modelLayer[layer] == atModelLayer) {
        return layer;
      }
    }

    return -1;
  }

  /** In words, for logs: what stands where. */
  public String inWords() {
    if (!known) {
      return "no model config given: the placement's layers are written as layers 0 to %d"
          .formatted(layers() - 1);
    }

    String mtp =
        mtpLayers == 0
            ? ""
            : ", %d MTP layers %s"
                .formatted(mtpLayers, placedMtpLayers() == 0 ? "unplaced" : "placed");
    return "model of %d layers: %d MoE layers placed, the first is layer %d, the last %d%s"
        .formatted(hiddenLayers, moeLayers(), modelLayer[0], modelLayer[moeLayers() - 1], mtp);
  }
}
