package io.expertatlas.trace.spark;

import java.util.EnumSet;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.connector.catalog.MetadataColumn;
import org.apache.spark.sql.connector.catalog.SupportsMetadataColumns;
import org.apache.spark.sql.connector.catalog.SupportsRead;
import org.apache.spark.sql.connector.catalog.SupportsWrite;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.connector.write.LogicalWriteInfo;
import org.apache.spark.sql.connector.write.WriteBuilder;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/** A trace that is read or will be written. */
final class TraceTable implements SupportsRead, SupportsWrite, SupportsMetadataColumns {
  private final StructType schema;
  private final CaseInsensitiveStringMap options;
  private final String path;

  TraceTable(StructType schema, CaseInsensitiveStringMap options) {
    this.schema = schema;
    this.options = options;
    this.path = options.getOrDefault(SparkTraceReadOptions.PATH, "");
  }

  /** Hadoop's configuration with what the session sets. */
  static Configuration hadoopConf() {
    return SparkSession.active().sessionState().newHadoopConf();
  }

  @Override
  public String name() {
    return RoutingTraceSource.NAME + " " + path;
  }

  @Override
  @SuppressWarnings("deprecation") // columns() is made of it
  public StructType schema() {
    return schema;
  }

  @Override
  public Set<TableCapability> capabilities() {
    return EnumSet.of(
        TableCapability.BATCH_READ,
        TableCapability.BATCH_WRITE,
        TableCapability.TRUNCATE,
        TableCapability.ACCEPT_ANY_SCHEMA); // the write says all that is wrong with it itself
  }

  /** {@code _token}, {@code _router_input}, {@code _router_scores}. */
  @Override
  public MetadataColumn[] metadataColumns() {
    return HiddenColumn.of(options);
  }

  @Override
  public ScanBuilder newScanBuilder(CaseInsensitiveStringMap options) {
    SparkTraceReadConf conf = new SparkTraceReadConf(options);
    TraceInput input = TraceInput.open(conf, hadoopConf());
    StructType found = TraceSchema.of(input.shape(), conf.layers(input.shape()), input.weights());
    if (!found.catalogString().equals(schema.catalogString())) {
      throw new IllegalArgumentException(
          "Cannot read %s as %s: its schema is %s. Maybe leave the schema out"
              .formatted(path, schema.catalogString(), found.catalogString()));
    }

    return new TraceScanBuilder(conf, input, found);
  }

  @Override
  public WriteBuilder newWriteBuilder(LogicalWriteInfo info) {
    return new TraceWriteBuilder(
        new SparkTraceWriteConf(info.options(), info.schema()), info.schema(), info.queryId());
  }
}
