/**
 * The routing-trace dataset: a folder of {@code manifest.json} and Parquet files, written and read
 * with parquet-java alone, without Spark.
 *
 * <p>May import Parquet and Hadoop's client API, the trace nouns and {@code trace.json}. Whoever
 * reads datasets brings parquet-hadoop and hadoop-client at run time.
 */
package io.expertatlas.trace.parquet;
