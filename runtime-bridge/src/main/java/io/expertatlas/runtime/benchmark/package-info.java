/**
 * How fast a model runs beside what its machine could do. May import runtime.model and nouns.
 * Bytes, tokens a second.
 */
package io.expertatlas.runtime.benchmark;
