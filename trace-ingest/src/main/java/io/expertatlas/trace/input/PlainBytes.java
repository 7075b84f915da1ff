package io.expertatlas.trace.input;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** The bytes of a file as it is. */
final class PlainBytes implements InputBytes {
  private final FileChannel channel;

  PlainBytes(Path file) throws IOException {
    this.channel = FileChannel.open(file, StandardOpenOption.READ);
  }

  @Override
  public int read(long offset, ByteBuffer into) throws IOException {
    return fill(channel, offset, into);
  }

  static int fill(FileChannel channel, long offset, ByteBuffer into) throws IOException {
    int found = 0;
    while (into.hasRemaining()) {
      int some = channel.read(into, offset + found);
      if (some < 0) {
        break;
      }

      found += some;
    }

    return found;
  }

  @Override
  public long sizeUpTo(long limit) throws IOException {
    return Math.min(limit, channel.size());
  }

  @Override
  public boolean isRandomAccess() {
    return true;
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
