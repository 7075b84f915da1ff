package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.Tensor;

/**
 * Logits that a step ended with on one rank.
 *
 * @param device where they are
 * @param values F32 {@code [sequences, V]}
 * @param sequences whose they are, one a row
 */
public record Logits(Device device, Tensor values, int[] sequences) {}
