package io.expertatlas.trace.spark;

import io.expertatlas.trace.RoutingTrace;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.functions;

/** A trace as rows, told the slow and obvious way. */
final class TraceRows {
  private TraceRows() {}

  /** One line a token, of some layers, as {@link #of(Dataset)} tells it. */
  static List<String> of(RoutingTrace trace, int... layers) {
    List<String> lines = new ArrayList<>();
    for (int token = 0; token < trace.tokens(); token++) {
      List<Object> experts = new ArrayList<>();
      List<Object> weights = new ArrayList<>();
      for (int layer : layers) {
        for (int rank = 0; rank < trace.shape().topK(); rank++) {
          experts.add(trace.expert(token, layer, rank));
          if (trace.hasWeights()) {
            weights.add(trace.weight(token, layer, rank));
          }
        }
      }

      lines.add(
          "%d@%d %d %s%s"
              .formatted(
                  trace.sequence(token),
                  trace.position(token),
                  trace.phase(token).code(),
                  experts,
                  trace.hasWeights() ? " " + weights : ""));
    }

    return lines;
  }

  static List<String> of(Dataset<Row> table) {
    List<String> lines = new ArrayList<>();
    for (Row row : table.collectAsList()) {
      lines.add(
          "%d@%d %d %s%s"
              .formatted(
                  row.getInt(0),
                  row.getInt(1),
                  row.getByte(2),
                  row.getList(3),
                  row.size() > 4 ? " " + row.getList(4) : ""));
    }

    return lines;
  }

  /** Rows for a DataFrame. */
  static List<Row> rows(RoutingTrace trace) {
    List<Row> rows = new ArrayList<>();
    int topK = trace.shape().topK();
    for (int token = 0; token < trace.tokens(); token++) {
      Object[] experts = new Object[trace.shape().choicesPerToken()];
      Object[] weights = new Object[experts.length];
      for (int i = 0; i < experts.length; i++) {
        int expert = trace.expert(token, i / topK, i % topK);
        experts[i] = trace.shape().experts() <= 1 << 15 ? (Object) (short) expert : expert;
        weights[i] = trace.hasWeights() ? trace.weight(token, i / topK, i % topK) : null;
      }

      List<Object> values =
          new ArrayList<>(
              List.of(
                  trace.sequence(token),
                  trace.position(token),
                  (byte) trace.phase(token).code(),
                  List.of(experts)));
      if (trace.hasWeights()) {
        values.add(List.of(weights));
      }

      rows.add(RowFactory.create(values.toArray()));
    }

    return rows;
  }

  /** EXPLAIN's text. */
  static String explain(Dataset<Row> table) {
    return table
        .queryExecution()
        .explainString(org.apache.spark.sql.execution.ExplainMode.fromString("simple"));
  }

  /** EXPLAIN COST's text: with row counts. */
  static String explainCost(Dataset<Row> table) {
    return table
        .queryExecution()
        .explainString(org.apache.spark.sql.execution.ExplainMode.fromString("cost"));
  }

  static long sum(Dataset<Row> table, String column) {
    return table.agg(functions.sum(column)).first().getLong(0);
  }
}
