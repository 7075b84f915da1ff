/**
 * The pipeline of a model whose experts do not fit the GPUs (APTMoE, SC'24): which layers form a
 * stage, what each device does in which order, which experts are copied to a GPU and which are
 * computed on the CPU. Rules only, no clock: the simulator calls them with its own time, an
 * executor with real events.
 *
 * <p>JDK only, and the nouns of trace and predictor. Times are nanoseconds; a <i>chunk</i> is a
 * micro-batch; layers, experts, stages, devices and chunks count from 0.
 */
package io.expertatlas.runtime.pipeline;
