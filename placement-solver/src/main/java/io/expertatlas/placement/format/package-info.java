/**
 * Placements in the formats of other programs. JDK, Jackson and, for TensorRT-LLM's plan,
 * SnakeYAML.
 *
 * <p>May import the nouns. Readers throw {@link io.expertatlas.placement.PlacementFormatException}
 * with file and line, or file and JSON path. Replicas are no noun yet: a file with an expert in
 * several slots is refused.
 */
package io.expertatlas.placement.format;
