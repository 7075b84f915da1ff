package io.expertatlas.trace.input;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * The bytes of a stream, kept in a temporary file as far as they were asked for. The file is
 * deleted when this is closed.
 */
final class SpooledBytes implements InputBytes {
  private static final int CHUNK = 1 << 16;

  private final InputStream stream;
  private final Path file;
  private final FileChannel spool;
  private final byte[] chunk = new byte[CHUNK];
  private long spooled;
  private boolean ended;

  /** Takes over the stream. */
  SpooledBytes(InputStream stream) throws IOException {
    this.stream = stream;
    this.file = Files.createTempFile("atlas-input-", ".tmp");
    this.spool =
        FileChannel.open(
            file,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE,
            StandardOpenOption.DELETE_ON_CLOSE);
  }

  @Override
  public int read(long offset, ByteBuffer into) throws IOException {
    spoolTo(offset + into.remaining());
    return PlainBytes.fill(spool, offset, into);
  }

  @Override
  public long sizeUpTo(long limit) throws IOException {
    spoolTo(limit);
    return Math.min(limit, spooled);
  }

  private void spoolTo(long wanted) throws IOException {
    while (!ended && spooled < wanted) {
      int count = stream.readNBytes(chunk, 0, (int) Math.min(CHUNK, wanted - spooled));
      ended = count == 0;
      ByteBuffer bytes = ByteBuffer.wrap(chunk, 0, count);
      while (bytes.hasRemaining()) {
        try {
          spooled += spool.write(bytes, spooled);
        } catch (IOException e) {
          throw new IOException(
              "%s, after %d decompressed bytes in %s. Maybe choose another folder with -Djava.io.tmpdir"
                  .formatted(e.getMessage(), spooled, file.getParent()),
              e);
        }
      }
    }
  }

  @Override
  public boolean isRandomAccess() {
    return false;
  }

  @Override
  public void close() throws IOException {
    try (stream) {
      spool.close();
    }
  }
}
