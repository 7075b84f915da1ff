/** The commands of this module: {@code analyze}. May import picocli and the progress bar. */
package io.expertatlas.affinity.cli;
