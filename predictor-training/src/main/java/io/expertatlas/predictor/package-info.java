/**
 * The nouns of predictor-training: predictors of the experts that a token will visit, their forward
 * pass, the split of a trace by sequence, and metrics. JDK only; the runtime uses these.
 *
 * <p>Dense arrays are row-major, shapes stand beside them. Layers are MoE layers, counted from 0;
 * head-out h of layer l predicts layer l + h.
 */
package io.expertatlas.predictor;
