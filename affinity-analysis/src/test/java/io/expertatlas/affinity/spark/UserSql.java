package io.expertatlas.affinity.spark;

import io.expertatlas.trace.ModelShape;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * The same counts in the SQL that one would write on the Parquet files of a dataset: explode the
 * choices, join them with themselves, group.
 */
final class UserSql {
  private UserSql() {}

  static SharedCounts count(SparkSession spark, ModelShape shape, Path dataset) {
    SharedCounts counts = new SharedCounts(shape);
    int experts = shape.experts();
    int k = shape.topK();
    spark.read().parquet(dataset + "/*.parquet").createOrReplaceTempView("trace");
    spark
        .sql(
            "SELECT sequence, position, at DIV %d AS layer, at %% %d AS rank, CAST(id AS INT) AS expert"
                    .formatted(k, k)
                + " FROM trace LATERAL VIEW posexplode(experts) AS at, id")
        .createOrReplaceTempView("choice");
    for (Row row :
        rows(
            spark,
            "SELECT layer, expert, count(*), count_if(rank = 0) FROM choice GROUP BY layer, expert")) {
      int cell = layer(row) * experts + row.getInt(1);
      counts.choices[cell] = row.getLong(2);
      counts.firstChoices[cell] = row.getLong(3);
    }

    String join =
        " FROM choice a JOIN choice b ON a.sequence = b.sequence AND a.position = b.position";
    for (Row row :
        rows(
            spark,
            "SELECT a.layer, a.expert, b.expert, count(*), count_if(a.rank = 0 AND b.rank = 0)"
                + join
                + " AND b.layer = a.layer + 1 GROUP BY a.layer, a.expert, b.expert")) {
      int cell = (layer(row) * experts + row.getInt(1)) * experts + row.getInt(2);
      counts.firstPairs[cell] = row.getLong(4);
      counts.pairUnits[cell] = row.getLong(3) * SharedCounts.units(shape);
    }

    for (Row row :
        rows(
            spark,
            "SELECT a.layer, a.expert, b.expert, count(*)"
                + join
                + " AND b.layer = a.layer WHERE a.expert < b.expert"
                + " GROUP BY a.layer, a.expert, b.expert")) {
      counts.together[(layer(row) * experts + row.getInt(1)) * experts + row.getInt(2)] =
          row.getLong(3);
    }

    return counts;
  }

  private static List<Row> rows(SparkSession spark, String sql) {
    return spark.sql(sql).collectAsList();
  }

  private static int layer(Row row) {
    return ((Number) row.get(0)).intValue();
  }
}
