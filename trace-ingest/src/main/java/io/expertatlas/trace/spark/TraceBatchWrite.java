package io.expertatlas.trace.spark;

import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifest.Source;
import io.expertatlas.trace.parquet.HadoopDatasetFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.connector.write.BatchWrite;
import org.apache.spark.sql.connector.write.DataWriterFactory;
import org.apache.spark.sql.connector.write.PhysicalWriteInfo;
import org.apache.spark.sql.connector.write.WriterCommitMessage;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;

/**
 * Writes a dataset beside its place and renames it when it is complete. Each attempt of a task
 * writes a file of its own; the commit names those that won, in the order of their partitions, and
 * drops the rest. An abort leaves nothing.
 */
final class TraceBatchWrite implements BatchWrite {
  private static final String CREATED_BY = "ExpertAtlas 0.1.0";

  private final SparkTraceWriteConf conf;
  private final StructType schema;
  private final HadoopDatasetFolder folder;

  TraceBatchWrite(SparkTraceWriteConf conf, StructType schema, String queryId, boolean overwrite) {
    this.conf = conf;
    this.schema = schema;
    this.folder =
        new HadoopDatasetFolder(new Path(conf.path()), queryId, overwrite, TraceTable.hadoopConf());
  }

  @Override
  public DataWriterFactory createBatchWriterFactory(PhysicalWriteInfo info) {
    try {
      folder.begin();
    } catch (IOException e) {
      throw new UncheckedIOException(e.getMessage(), e);
    }

    return new TraceDataWriterFactory(
        new JavaSparkContext(SparkSession.active().sparkContext())
            .broadcast(new SerializableConfiguration(TraceTable.hadoopConf())),
        folder.aside().toString(),
        conf.shape(),
        conf.weights(),
        schema);
  }

  @Override
  public void commit(WriterCommitMessage[] messages) {
    try {
      List<Part> parts = new ArrayList<>();
      SequenceIds sequences = new SequenceIds();
      long tokens = 0;
      for (WriterCommitMessage message : messages) {
        TraceDataWriter.Written written = (TraceDataWriter.Written) message;
        if (written.rows() > 0) {
          String name = HadoopDatasetFolder.partName(parts.size());
          folder.accept(written.file(), name);
          parts.add(new Part(name, written.rows(), written.bytes(), written.sha256()));
          sequences.addAll(written.sequences());
          tokens += written.rows();
        }
      }

      if (parts.isEmpty()) {
        parts.add(folder.writeEmptyPart(conf.shape(), conf.weights()));
      }

      folder.commit(
          new TraceManifest(
              conf.shape(),
              tokens,
              sequences.size(),
              conf.weights(),
              CREATED_BY,
              List.of(new Source("query", "spark", tokens, 0, List.of())),
              parts));
    } catch (IOException e) {
      throw new UncheckedIOException(e.getMessage(), e);
    }
  }

  @Override
  public void abort(WriterCommitMessage[] messages) {
    try {
      folder.abort();
    } catch (IOException e) {
      throw new UncheckedIOException(e.getMessage(), e);
    }
  }
}
