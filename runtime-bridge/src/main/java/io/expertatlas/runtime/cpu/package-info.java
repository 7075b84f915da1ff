/**
 * The {@link io.expertatlas.runtime.Device} of the host: memory outside the Java heap, matrix
 * products by OpenBLAS, everything else in plain Java. The only package that loads JavaCPP's
 * OpenBLAS presets.
 */
package io.expertatlas.runtime.cpu;
