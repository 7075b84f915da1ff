/** The commands of predictor-training: {@code train-predictor} and {@code score-predictor}. */
package io.expertatlas.predictor.cli;
