/**
 * The {@link io.expertatlas.runtime.Device} of the host: memory outside the Java heap, matrix
 * products by OpenBLAS, with bf16 weights by oneDNN, everything else in plain Java. The only
 * package that loads JavaCPP's presets of both.
 */
package io.expertatlas.runtime.cpu;
