/**
 * Popularity of iterations as Parquet and as {@code .npy}, the input of schedulers. May import
 * Parquet.
 */
package io.expertatlas.predictor.parquet;
