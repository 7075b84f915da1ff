package io.expertatlas.trace.spark;

import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.connector.read.SupportsPushDownFilters;
import org.apache.spark.sql.connector.read.SupportsPushDownRequiredColumns;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.types.StructType;

/** Takes from Spark the columns and the filters on sequence and position. */
final class TraceScanBuilder
    implements ScanBuilder, SupportsPushDownFilters, SupportsPushDownRequiredColumns {
  private final SparkTraceReadConf conf;
  private final TraceInput input;
  private StructType columns;
  private PushedFilters pushed = PushedFilters.NONE;
  private Filter[] accepted = {};

  TraceScanBuilder(SparkTraceReadConf conf, TraceInput input, StructType schema) {
    this.conf = conf;
    this.input = input;
    this.columns = schema;
  }

  @Override
  public Filter[] pushFilters(Filter[] filters) {
    PushedFilters.Split split = PushedFilters.of(filters);
    pushed = split.pushed();
    accepted = split.accepted();
    return split.left();
  }

  @Override
  public Filter[] pushedFilters() {
    return accepted.clone();
  }

  @Override
  public void pruneColumns(StructType required) {
    columns = required;
  }

  @Override
  public Scan build() {
    return new TraceScan(conf, input, columns, pushed);
  }
}
