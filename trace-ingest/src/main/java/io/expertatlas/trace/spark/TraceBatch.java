package io.expertatlas.trace.spark;

import java.util.List;
import org.apache.spark.sql.connector.read.Batch;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;

/**
 * The tasks of a scan.
 *
 * @param partitions one a task, in the order of their tokens
 * @param factory of the readers
 */
record TraceBatch(List<TraceInputPartition> partitions, TraceReaderFactory factory)
    implements Batch {
  @Override
  public InputPartition[] planInputPartitions() {
    return partitions.toArray(InputPartition[]::new);
  }

  @Override
  public PartitionReaderFactory createReaderFactory() {
    return factory;
  }
}
