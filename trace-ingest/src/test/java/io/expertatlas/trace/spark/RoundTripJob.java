package io.expertatlas.trace.spark;

import java.io.IOException;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** What a user would submit: reads a raw file, writes it as a dataset, and counts what is there. */
public final class RoundTripJob {
  private RoundTripJob() {}

  /** Takes the raw file, the number of experts, and the dataset to write. */
  public static void main(String[] arguments) throws IOException {
    try (SparkSession spark = SparkSession.builder().getOrCreate()) {
      spark
          .read()
          .format("routing-trace")
          .option("experts", arguments[1])
          .option("split-tokens", 1000)
          .load(arguments[0])
          .write()
          .format("routing-trace")
          .mode("append")
          .save(arguments[2]);
      Dataset<Row> dataset = spark.read().format("routing-trace").load(arguments[2]);
      System.out.println("rows " + dataset.where("experts[0] = 1").count());
    }
  }
}
