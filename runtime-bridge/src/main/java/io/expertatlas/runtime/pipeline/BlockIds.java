package io.expertatlas.runtime.pipeline;

/**
 * Numbers of the blocks that are copied: for each layer its attention group (with norms), its gate
 * group (with the predictor) and its experts.
 *
 * @param layers of the model
 * @param experts of each layer
 */
public record BlockIds(int layers, int experts) {
  /** Number of blocks. */
  public int count() {
    return layers * (experts + 2);
  }

  /** The attention group of a layer. */
  public int attention(int layer) {
    return layer * (experts + 2);
  }

  /** The gate group of a layer. */
  public int gate(int layer) {
    return layer * (experts + 2) + 1;
  }

  /** An expert of a layer. */
  public int expert(int layer, int expert) {
    return layer * (experts + 2) + 2 + expert;
  }

  /** The layer of a block. */
  public int layerOf(int block) {
    return block / (experts + 2);
  }

  /** The expert of a block, or -1 if it is none. */
  public int expertOf(int block) {
    return Math.max(-1, block % (experts + 2) - 2);
  }

  /** A block in words. */
  public String describe(int block) {
    int part = block % (experts + 2);
    String what = part == 0 ? "attention" : part == 1 ? "gate" : "expert " + (part - 2);
    return "layer %d %s".formatted(layerOf(block), what);
  }
}
