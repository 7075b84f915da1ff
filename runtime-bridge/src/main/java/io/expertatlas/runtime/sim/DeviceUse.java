package io.expertatlas.runtime.sim;

/** What a device did in a step, added up. Mutable. */
final class DeviceUse {
  long gpuNanos;
  long cpuNanos;
  long basesLoaded; // attention and gate of a layer
  long expertsLoaded;
  long gpuTokens; // tokens that experts computed on the GPU, forward
  long cpuTokens;
  long hits; // tokens whose expert was on the GPU when the gate spoke, forward
  long misses;
}
