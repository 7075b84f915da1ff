package io.expertatlas.runtime.pipeline;

/**
 * A model with its training step and a profile of its layer: APTMoE's S, M and L.
 *
 * @param name of the preset
 * @param layers L
 * @param stages S
 * @param heads of the attention
 * @param batchSize sequences of a step, over all micro-batches
 * @param chunks micro-batches of a step
 * @param sequenceLength tokens of a sequence
 * @param table the profile
 */
public record Preset(
    String name,
    int layers,
    int stages,
    int heads,
    int batchSize,
    int chunks,
    int sequenceLength,
    LookupTable table) {}
