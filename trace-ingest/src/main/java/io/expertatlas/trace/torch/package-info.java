/**
 * Reads what {@code torch.save} writes, without PyTorch and without running anything: a zip archive
 * of a pickle and the raw storages of its tensors.
 *
 * <p>May import the trace nouns and {@code trace.input}. The pickle is read by a loop over a
 * whitelist of opcodes and of names. No name in a file ever leads to a class, a method or a
 * constructor: it is compared with a fixed list, and anything else is refused. Opcodes, memo,
 * stack, texts and containers are limited; storages are read when their numbers are asked for, and
 * their sizes, offsets and strides are checked before.
 */
package io.expertatlas.trace.torch;
