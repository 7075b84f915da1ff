package io.expertatlas.trace.job;

import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;

/** Starts Spark for a command. */
public final class SparkApplication {
  private SparkApplication() {}

  /**
   * Starts an application; close it when the job is done.
   *
   * @param name of the application
   * @param master Spark master; empty: what spark-submit says, else all cores of this machine
   */
  public static JavaSparkContext start(String name, String master) {
    SparkConf conf = new SparkConf().setAppName(name);
    if (!master.isEmpty()) {
      conf.setMaster(master);
    }

    conf.setIfMissing("spark.master", "local[*]");
    conf.setIfMissing("spark.ui.enabled", "false");
    conf.setIfMissing("spark.ui.showConsoleProgress", "false");
    if (conf.get("spark.master").matches("local(\\[[^,]*])?")) {
      conf.setIfMissing("spark.driver.host", "localhost");
      conf.setIfMissing("spark.driver.bindAddress", "127.0.0.1");
    }

    return new JavaSparkContext(conf);
  }
}
