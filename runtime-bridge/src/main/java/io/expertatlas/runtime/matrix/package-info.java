/**
 * Matrices of training: what a device has to compute, and the CPU's in floats and in doubles, the
 * twin that others are compared with.
 */
package io.expertatlas.runtime.matrix;
