package io.expertatlas.trace.spark;

import java.util.Map;
import org.apache.spark.sql.connector.catalog.SessionConfigSupport;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableProvider;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.sources.DataSourceRegister;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * The data source {@code routing-trace}: datasets and raw dumps as one table. Options: {@link
 * SparkTraceReadOptions}, {@link SparkTraceWriteOptions}.
 */
public final class RoutingTraceSource
    implements TableProvider, DataSourceRegister, SessionConfigSupport {
  static final String NAME = "routing-trace";

  /** For {@link java.util.ServiceLoader}. */
  public RoutingTraceSource() {}

  @Override
  public String shortName() {
    return NAME;
  }

  @Override
  public String keyPrefix() {
    return NAME;
  }

  @Override
  public StructType inferSchema(CaseInsensitiveStringMap options) {
    SparkTraceReadConf conf = new SparkTraceReadConf(options);
    TraceInput input = TraceInput.open(conf, TraceTable.hadoopConf());
    return TraceSchema.of(input.shape(), conf.layers(input.shape()), input.weights());
  }

  /** Written data brings its schema; one given for reading must be the table's own. */
  @Override
  public boolean supportsExternalMetadata() {
    return true;
  }

  @Override
  public Table getTable(
      StructType schema, Transform[] partitioning, Map<String, String> properties) {
    return new TraceTable(schema, new CaseInsensitiveStringMap(properties));
  }
}
