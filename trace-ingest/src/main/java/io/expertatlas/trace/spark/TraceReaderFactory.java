package io.expertatlas.trace.spark;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.apache.spark.util.SerializableConfiguration;

/** Opens partitions on executors. Plain values; the large one is a broadcast. */
final class TraceReaderFactory implements PartitionReaderFactory {
  private static final long serialVersionUID = 1;

  private final Broadcast<SerializableConfiguration> hadoop;
  private final int modelLayers;
  private final int experts;
  private final int topK;
  private final boolean weights;
  private final String layers;
  private final ArrayList<String> columns; // serializable
  private final int hiddenSize;
  private final PushedFilters pushed;
  private final int batchTokens;

  TraceReaderFactory(
      Broadcast<SerializableConfiguration> hadoop,
      ModelShape shape,
      boolean weights,
      LayerSelection layers,
      List<String> columns,
      int hiddenSize,
      PushedFilters pushed,
      int batchTokens) {
    this.hadoop = hadoop;
    this.modelLayers = shape.layers();
    this.experts = shape.experts();
    this.topK = shape.topK();
    this.weights = weights;
    this.layers = layers.toString();
    this.columns = new ArrayList<>(columns);
    this.hiddenSize = hiddenSize;
    this.pushed = pushed;
    this.batchTokens = batchTokens;
  }

  @Override
  public boolean supportColumnarReads(InputPartition partition) {
    return true;
  }

  @Override
  public PartitionReader<InternalRow> createReader(InputPartition partition) {
    throw new UnsupportedOperationException("routing-trace reads columnar batches only");
  }

  @Override
  public PartitionReader<ColumnarBatch> createColumnarReader(InputPartition partition) {
    ModelShape shape = new ModelShape(modelLayers, experts, topK);
    TokenBatches batches =
        partition instanceof TraceInputPartition.Dataset dataset
            ? new TokenBatches.Dataset(
                dataset, shape, weights, needed(), batchTokens, hadoop.value().value())
            : raw((TraceInputPartition.Raw) partition);
    try {
      return new TraceColumnarReader(
          batches,
          shape,
          LayerSelection.parse(layers, shape),
          columns,
          hiddenSize,
          pushed,
          batchTokens);
    } catch (RuntimeException e) {
      batches.close();
      throw e;
    }
  }

  private TokenBatches raw(TraceInputPartition.Raw partition) {
    return TraceSchema.needsStates(columns)
        ? TokenBatches.Raw.states(partition)
        : TokenBatches.Raw.routes(partition);
  }

  /** Columns of the result and of the filters. */
  private List<String> needed() {
    List<String> needed = new ArrayList<>(columns);
    needed.addAll(pushed.columns());
    return needed;
  }
}
