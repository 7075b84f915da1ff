/**
 * Training with ND4J: explicit gradients and Adam, one layer at a time, all its head-outs together.
 * The only place that loads ND4J; weights leave as plain arrays. May import ND4J and JavaCPP's
 * OpenBLAS.
 */
package io.expertatlas.predictor.nd4j;
