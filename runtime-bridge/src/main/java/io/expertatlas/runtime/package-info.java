/**
 * The nouns of execution: what a model is, what a device can do, which plan a run follows and what
 * it did. JDK only, and the nouns of trace and placement.
 *
 * <p>Tensors are dense and row-major; shapes stand in brackets, outermost axis first. A <i>rank</i>
 * is one place that holds experts: a GPU, or a logical device on the CPU.
 */
package io.expertatlas.runtime;
