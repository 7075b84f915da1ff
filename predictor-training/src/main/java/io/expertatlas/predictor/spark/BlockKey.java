package io.expertatlas.predictor.spark;

import java.io.Serializable;
import java.util.Comparator;
import org.apache.spark.Partitioner;

/**
 * Where a block of rows belongs.
 *
 * @param layer whose router input it holds
 * @param token index in the trace of its first row
 */
record BlockKey(int layer, long token) implements Comparable<BlockKey>, Serializable {
  private static final Comparator<BlockKey> ORDER =
      Comparator.comparingInt(BlockKey::layer).thenComparingLong(BlockKey::token);

  @Override
  public int compareTo(BlockKey other) {
    return ORDER.compare(this, other);
  }

  /** Brings the blocks of a layer to the partition of its number. */
  static final class ByLayer extends Partitioner {
    private static final long serialVersionUID = 1;

    private final int layers;

    ByLayer(int layers) {
      this.layers = layers;
    }

    @Override
    public int numPartitions() {
      return layers;
    }

    @Override
    public int getPartition(Object key) {
      return ((BlockKey) key).layer();
    }
  }
}
