/**
 * What the Spark jobs of all stages share: an application of their own, stages that tell their
 * progress, and what went wrong in a task.
 *
 * <p>May import Spark Core, the trace nouns and {@code trace.terminal}. The other modules import
 * it.
 */
package io.expertatlas.trace.job;
