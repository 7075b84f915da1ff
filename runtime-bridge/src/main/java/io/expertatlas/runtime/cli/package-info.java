/** The commands of the runtime stage. May import picocli. */
package io.expertatlas.runtime.cli;
