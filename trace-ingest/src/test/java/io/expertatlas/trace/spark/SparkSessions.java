package io.expertatlas.trace.spark;

import org.apache.spark.sql.SparkSession;

/** Sessions for tests. */
final class SparkSessions {
  private SparkSessions() {}

  static SparkSession local() {
    return SparkSession.builder()
        .master("local[2]")
        .config("spark.ui.enabled", false)
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "localhost")
        .config("spark.sql.shuffle.partitions", 2)
        .config("spark.hadoop.fs.elsewhere.impl", ElsewhereFileSystem.class.getName())
        .getOrCreate();
  }
}
