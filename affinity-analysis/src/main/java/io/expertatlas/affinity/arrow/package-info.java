/**
 * Route counts as Arrow IPC files, which notebooks read as tables. The only package of this module,
 * beside {@code .spark}, that may import Arrow.
 */
package io.expertatlas.affinity.arrow;
