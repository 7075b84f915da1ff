/**
 * Training a Mixture-of-Experts model: forward and backward of the models, written once, the
 * optimizer, and the executors that run a step on one device or through a pipeline of them.
 *
 * <p>Computes in doubles; what is kept of a parameter between steps is FP32: value, gradient and
 * the two moments of Adam, 16 bytes. Matrices are row-major, a row for each token; shapes stand in
 * brackets. A gradient is the sum over micro-batches in their order, whoever computed it, so its
 * bits do not depend on schedule, split or number of devices. May import {@code runtime.cpu} and
 * {@code runtime.pipeline}.
 */
package io.expertatlas.runtime.train;
