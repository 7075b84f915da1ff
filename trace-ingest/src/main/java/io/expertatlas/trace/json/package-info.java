/**
 * JSON of the trace stage: the manifest of a routing-trace dataset, hand-written with Jackson's
 * tree model; keys are kebab-case.
 *
 * <p>May import the trace nouns and Jackson.
 */
package io.expertatlas.trace.json;
