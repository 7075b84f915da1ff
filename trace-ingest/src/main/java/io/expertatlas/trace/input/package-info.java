/**
 * The bytes of input files, as they come: plain files, {@code .gz} and {@code .zst} files, members
 * of zip archives, all read by place through one interface; and 16-bit floats, which Java 17 lacks.
 *
 * <p>May import the trace nouns and zstd-jni, which is optional: without it on the class path, only
 * {@code .zst} files and the pages of datasets cannot be read. What is decompressed lies in a file
 * of the temporary folder, never in memory, and only as far as it was asked for.
 */
package io.expertatlas.trace.input;
