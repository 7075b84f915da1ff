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
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/** A trace that is read or will be written. */
final class TraceTable implements SupportsRead, SupportsWrite, SupportsMetadataColumns {
  private final StructType schema;
  private final String path;

  TraceTable(StructType schema, String path) {
    this.schema = schema;
    this.path = path;
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

  /** {@code _token}: the index of a token in the whole trace. */
  @Override
  public MetadataColumn[] metadataColumns() {
    return new MetadataColumn[] {
      new MetadataColumn() {
        @Override
        public String name() {
          return TraceSchema.TOKEN;
        }

        @Override
        public DataType dataType() {
          return DataTypes.LongType;
        }

        @Override
        public boolean isNullable() {
          return false;
        }

        @Override
        public String comment() {
          return "index of the token in the whole trace, from 0";
        }
      }
    };
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
