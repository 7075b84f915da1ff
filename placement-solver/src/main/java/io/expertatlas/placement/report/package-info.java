/**
 * The page that compares placements: how tokens flow between GPUs, how GPUs are loaded, what each
 * placement costs. Built on {@code io.expertatlas.affinity.report}; may import Jackson.
 */
package io.expertatlas.placement.report;
