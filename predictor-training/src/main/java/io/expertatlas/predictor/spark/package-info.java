/**
 * The training of layers as a Spark job, one task a layer. Reads the data source {@code
 * routing-trace} by its name. May import Spark, Arrow (the batches of the source), {@code .store},
 * and {@code .nd4j} for what a task runs.
 */
package io.expertatlas.predictor.spark;
