package io.expertatlas.trace.spark;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.TokenSelection.TokenRange;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.connector.read.Batch;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.Statistics;
import org.apache.spark.sql.connector.read.SupportsReportStatistics;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;

/** A scan that knows its columns, filters and layers; cut into tasks when first asked. */
final class TraceScan implements Scan, SupportsReportStatistics {
  private final SparkTraceReadConf conf;
  private final TraceInput input;
  private final StructType columns;
  private final PushedFilters pushed;
  private final LayerSelection layers;
  private final Optional<RouterFacts> states;
  private Optional<TraceInput.TracePlan> plan = Optional.empty();

  TraceScan(SparkTraceReadConf conf, TraceInput input, StructType columns, PushedFilters pushed) {
    this.conf = conf;
    this.input = input;
    this.columns = columns;
    this.pushed = pushed;
    this.layers = conf.layers(input.shape());
    this.states =
        TraceSchema.needsStates(names()) ? Optional.of(input.routerFacts()) : Optional.empty();
    states.ifPresent(facts -> facts.check(names()));
  }

  private List<String> names() {
    return List.of(columns.fieldNames());
  }

  private int hiddenSize() {
    return states.map(RouterFacts::hiddenSize).orElse(0);
  }

  /** Values of router states that a row holds. */
  private long stateValues() {
    return RouterFacts.valuesOfToken(names(), input.shape(), layers, hiddenSize());
  }

  private synchronized TraceInput.TracePlan plan() {
    if (plan.isEmpty()) {
      int parallelism = SparkSession.active().sparkContext().defaultParallelism();
      long split = conf.splitTokens(input.tokens(), input.shape().choicesPerToken(), parallelism);
      plan = Optional.of(input.plan(conf.tokens(), pushed, split));
    }

    return plan.get();
  }

  @Override
  public StructType readSchema() {
    return columns;
  }

  @Override
  public ColumnarSupportMode columnarSupportMode() {
    return ColumnarSupportMode.SUPPORTED;
  }

  @Override
  public Batch toBatch() {
    TraceReaderFactory factory =
        new TraceReaderFactory(
            new JavaSparkContext(SparkSession.active().sparkContext())
                .broadcast(new SerializableConfiguration(TraceTable.hadoopConf())),
            input.shape(),
            input.weights(),
            layers,
            names(),
            hiddenSize(),
            pushed,
            conf.batchTokens(Math.max(1, layers.choicesPerToken()), stateValues()));
    return new TraceBatch(plan().partitions(), factory);
  }

  /** Tokens that are read, which are all rows if no filter is pushed, else at most so many. */
  @Override
  public Statistics estimateStatistics() {
    long rows = plan().tokens();
    long bytes =
        rows * (TraceSchema.rowBytes(columns, layers.choicesPerToken()) + 4 * stateValues());
    return new Statistics() {
      @Override
      public OptionalLong sizeInBytes() {
        return OptionalLong.of(bytes);
      }

      @Override
      public OptionalLong numRows() {
        return OptionalLong.of(rows);
      }
    };
  }

  /** What EXPLAIN shows: input, columns, layers, tokens, filters, and what is left to read. */
  @Override
  public String description() {
    List<String> facts = new ArrayList<>();
    facts.add("%s (%s)".formatted(input.describe(), input.shape()));
    facts.add("columns [%s]".formatted(String.join(", ", columns.fieldNames())));
    states.ifPresent(known -> facts.add(known.toString()));
    facts.add("layers " + layers);
    if (!conf.tokens().equals(TokenRange.ALL)) {
      facts.add("tokens " + conf.tokens());
    }

    facts.add("pushed [%s]".formatted(pushed));
    if (!plan().parts().isEmpty()) {
      facts.add(plan().parts());
    }

    facts.add("%d of %d tokens".formatted(plan().tokens(), input.tokens()));
    facts.add("%d tasks".formatted(plan().partitions().size()));
    return "%s %s".formatted(RoutingTraceSource.NAME, String.join(", ", facts));
  }
}
