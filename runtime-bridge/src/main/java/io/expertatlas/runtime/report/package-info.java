/**
 * The pages of the simulator. Built on {@code io.expertatlas.affinity.report}; may import Jackson.
 */
package io.expertatlas.runtime.report;
