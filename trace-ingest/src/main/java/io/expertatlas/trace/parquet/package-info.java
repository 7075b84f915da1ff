/**
 * The routing-trace dataset: a folder of {@code manifest.json} and Parquet files, written and read
 * with parquet-java alone, without Spark; and columns of Parquet files of others.
 *
 * <p>May import Parquet and Hadoop's client API, the trace nouns, {@code trace.json} and {@code
 * trace.input}. Whoever reads datasets brings parquet-hadoop and hadoop-client at run time.
 */
package io.expertatlas.trace.parquet;
