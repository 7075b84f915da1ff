package io.expertatlas.affinity;

/** Which expert a full cache gives up. */
public enum CachePolicy {
  /** The least recently used one. */
  LRU,
  /** The one whose next use in the run is farthest away (Belady 1966): no policy has more hits. */
  CLAIRVOYANT
}
