package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.PipelineKind;

/**
 * One simulated pipeline of a sweep.
 *
 * @param model preset and experts, as in {@code S-16}
 * @param skew of the routing
 * @param topology {@code C1+G1}, {@code C1+G2} or {@code C1+G4}
 * @param gpus number of GPUs
 * @param batchSize sequences of a step
 * @param kind which pipeline
 * @param seconds of a step; NaN if it cannot run
 */
public record SweepPoint(
    String model,
    double skew,
    String topology,
    int gpus,
    int batchSize,
    PipelineKind kind,
    double seconds) {}
