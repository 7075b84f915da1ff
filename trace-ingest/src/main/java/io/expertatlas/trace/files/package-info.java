/**
 * How the files of every stage come to be: written aside, then renamed, so that no half-written
 * output is ever found under its name. JDK only; the other modules import it.
 */
package io.expertatlas.trace.files;
