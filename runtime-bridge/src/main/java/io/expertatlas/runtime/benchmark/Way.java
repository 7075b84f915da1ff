package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.model.CpuRule;
import io.expertatlas.runtime.model.Foretelling;

/**
 * A way to run offloaded experts.
 *
 * @param foretelling what foretells those that are fetched ahead
 * @param rule which of the missing ones the CPU computes
 */
public record Way(Foretelling foretelling, CpuRule rule) {
  /** As they are needed, and on the device. */
  public static final Way PLAIN = new Way(Foretelling.NONE, CpuRule.NONE);
}
