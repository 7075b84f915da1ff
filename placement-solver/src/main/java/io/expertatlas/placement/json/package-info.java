/**
 * The file {@code placement.json}: a placement with what it was made from and how good it is.
 *
 * <p>May import the nouns, {@code .solver} and Jackson.
 */
package io.expertatlas.placement.json;
