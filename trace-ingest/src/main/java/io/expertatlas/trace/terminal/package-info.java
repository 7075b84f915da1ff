/**
 * What every stage's commands share at the terminal: how a trace is named, how failures end, how
 * progress shows. Results go to stdout; tables, progress and messages go to stderr.
 *
 * <p>May import picocli and the progress bar, and the trace nouns. The other modules import it.
 */
package io.expertatlas.trace.terminal;
