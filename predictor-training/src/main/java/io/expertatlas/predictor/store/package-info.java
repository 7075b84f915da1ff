/**
 * Router inputs, gate distributions and choices of a trace on disk, a file for each layer: what one
 * layer's training reads, in memory that does not grow with the trace; and the same of one layer
 * alone, in blocks that travel. JDK and trace nouns only.
 */
package io.expertatlas.predictor.store;
