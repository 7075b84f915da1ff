/**
 * Placements in the formats of other programs. JDK only so far.
 *
 * <p>May import the nouns. Readers throw {@link io.expertatlas.placement.PlacementFormatException}
 * with file and line.
 */
package io.expertatlas.placement.format;
