package io.expertatlas.placement.copies;

/** What a layer's packing costs besides load, as far as changes of it can tell. */
interface LayerCost {
  /** All terms of the layer that depend on the copies of either expert; both may be the same. */
  double touching(Packing packing, int one, int other);
}
