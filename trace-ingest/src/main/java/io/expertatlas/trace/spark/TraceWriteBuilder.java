package io.expertatlas.trace.spark;

import org.apache.spark.sql.connector.write.BatchWrite;
import org.apache.spark.sql.connector.write.SupportsTruncate;
import org.apache.spark.sql.connector.write.Write;
import org.apache.spark.sql.connector.write.WriteBuilder;
import org.apache.spark.sql.types.StructType;

/** A write of a dataset; mode overwrite replaces an existing one, mode append does not. */
final class TraceWriteBuilder implements WriteBuilder, SupportsTruncate {
  private final SparkTraceWriteConf conf;
  private final StructType schema;
  private final String queryId;
  private boolean overwrite;

  TraceWriteBuilder(SparkTraceWriteConf conf, StructType schema, String queryId) {
    this.conf = conf;
    this.schema = schema;
    this.queryId = queryId;
  }

  @Override
  public WriteBuilder truncate() {
    overwrite = true;
    return this;
  }

  @Override
  public Write build() {
    return new Write() {
      @Override
      public BatchWrite toBatch() {
        return new TraceBatchWrite(conf, schema, queryId, overwrite);
      }

      @Override
      public String description() {
        return "%s dataset %s (%s)".formatted(RoutingTraceSource.NAME, conf.path(), conf.shape());
      }
    };
  }
}
