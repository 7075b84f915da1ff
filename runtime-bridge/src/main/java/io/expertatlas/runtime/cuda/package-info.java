/**
 * Runs and trains models on NVIDIA GPUs: memory, streams, graphs and this project's kernels through
 * JCuda's driver API, large dense products through cuBLAS. Nothing else of the project loads
 * either.
 */
package io.expertatlas.runtime.cuda;
