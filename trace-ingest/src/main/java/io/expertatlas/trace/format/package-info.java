/**
 * Readers of the files that other programs dump routing traces to, one class a format, and of the
 * folders that this project's own capture writes.
 *
 * <p>May import the trace nouns, {@code trace.json}, {@code trace.input}, {@code trace.torch} and
 * {@code trace.parquet}, whose library is needed only by who reads Parquet. Whatever is read was
 * written by others: every length is checked against the file before it is used, and every failure
 * is a {@link io.expertatlas.trace.TraceFormatException} that names the file and the place.
 */
package io.expertatlas.trace.format;
