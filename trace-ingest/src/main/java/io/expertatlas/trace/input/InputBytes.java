package io.expertatlas.trace.input;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Bytes that are read by place. Not safe for several threads. */
public interface InputBytes extends Closeable {
  /**
   * Fills a buffer with the bytes from {@code offset} on.
   *
   * @return how many there were: fewer than the buffer takes only at the end
   * @throws io.expertatlas.trace.TraceFormatException if what they are packed in is broken
   */
  int read(long offset, ByteBuffer into) throws IOException;

  /**
   * The number of bytes if it is at most {@code limit}, else {@code limit}. What is compressed is
   * not decompressed further than that.
   */
  long sizeUpTo(long limit) throws IOException;

  /** Whether any place is as near as the first: not so for what must be decompressed up to it. */
  boolean isRandomAccess();

  @Override
  void close() throws IOException;
}
