package io.expertatlas.trace.spark;

import io.expertatlas.trace.ModelShape;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.write.DataWriter;
import org.apache.spark.sql.connector.write.DataWriterFactory;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;

/** Opens the writers of a dataset's parts on executors. */
final class TraceDataWriterFactory implements DataWriterFactory {
  private static final long serialVersionUID = 1;

  private final Broadcast<SerializableConfiguration> hadoop;
  private final String folder;
  private final int layers;
  private final int experts;
  private final int topK;
  private final boolean weights;
  private final StructType schema;

  TraceDataWriterFactory(
      Broadcast<SerializableConfiguration> hadoop,
      String folder,
      ModelShape shape,
      boolean weights,
      StructType schema) {
    this.hadoop = hadoop;
    this.folder = folder;
    this.layers = shape.layers();
    this.experts = shape.experts();
    this.topK = shape.topK();
    this.weights = weights;
    this.schema = schema;
  }

  @Override
  public DataWriter<InternalRow> createWriter(int partitionId, long taskId) {
    return new TraceDataWriter(
        hadoop.value().value(),
        folder,
        "attempt-%d-%d.parquet".formatted(partitionId, taskId),
        new ModelShape(layers, experts, topK),
        weights,
        schema);
  }
}
