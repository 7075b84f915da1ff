/**
 * Tokens as Arrow vectors, filled in bulk: what Spark reads as columnar batches. Who creates
 * vectors closes them; each task has an allocator of its own below one root.
 *
 * <p>May import the trace nouns and Arrow.
 */
package io.expertatlas.trace.arrow;
