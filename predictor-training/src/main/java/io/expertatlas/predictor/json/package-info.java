/**
 * Predictors as files: {@code predictor.json} and {@code weights.safetensors}; safetensors in
 * general, and the gates of a checkpoint. May import Jackson. The runtime imports it.
 */
package io.expertatlas.predictor.json;
