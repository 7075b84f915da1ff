/**
 * The pipeline on a described machine: discrete events in the order of (time, serial). The same
 * stage plan, action lists and loading rules as an executor's, and the same timeline.
 *
 * <p>JDK only, and the nouns of runtime and {@code .pipeline}. Times are nanoseconds, sizes bytes.
 */
package io.expertatlas.runtime.sim;
