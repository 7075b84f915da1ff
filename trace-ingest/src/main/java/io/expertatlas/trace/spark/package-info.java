/**
 * The Spark job of the trace stage: dumps of any known format become one routing-trace dataset.
 *
 * <p>May import Spark, the trace nouns, {@code trace.json} and {@code trace.parquet}. Formats are
 * found by name through {@link io.expertatlas.trace.TraceFormat}, never imported.
 */
package io.expertatlas.trace.spark;
