/**
 * The commands place and evaluate.
 *
 * <p>May import everything of this module, the terminal and the codecs of the modules left of it.
 */
package io.expertatlas.placement.cli;
