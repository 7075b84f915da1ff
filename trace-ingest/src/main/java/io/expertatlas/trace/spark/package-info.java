/**
 * Spark in the trace stage: the data source {@code routing-trace}, which reads datasets and raw
 * dumps as one table and writes datasets, and the job that turns dumps of any known format into one
 * dataset.
 *
 * <p>May import Spark, the trace nouns, {@code trace.json}, {@code trace.parquet} and {@code
 * trace.arrow}. Formats are found by name through {@link io.expertatlas.trace.TraceFormat}, never
 * imported.
 */
package io.expertatlas.trace.spark;
