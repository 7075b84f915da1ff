/**
 * The training of layers as a Spark job, one task a layer. May import Spark, and {@code .nd4j} for
 * what a task runs.
 */
package io.expertatlas.predictor.spark;
