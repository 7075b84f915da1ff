package io.expertatlas.trace.input;

import io.expertatlas.trace.TraceFormatException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** A member of a zip archive that is stored as it is: its stream skips without reading. */
final class StoredMember implements InputBytes {
  private final ZipFile zip;
  private final ZipEntry entry;
  private final String label;
  private InputStream stream;
  private long position;

  StoredMember(ZipFile zip, ZipEntry entry, String label) {
    this.zip = zip;
    this.entry = entry;
    this.label = label;
    this.stream = stream(zip, entry, label);
  }

  /** The bytes of a member, decompressed. */
  static InputStream stream(ZipFile zip, ZipEntry entry, String label) {
    try {
      return zip.getInputStream(entry);
    } catch (IOException e) {
      throw DecompressedStream.broken(label, e);
    }
  }

  @Override
  public int read(long offset, ByteBuffer into) throws IOException {
    int wanted = (int) Math.max(0, Math.min(into.remaining(), entry.getSize() - offset));
    byte[] bytes = new byte[wanted];
    try {
      if (offset < position) {
        stream.close();
        stream = stream(zip, entry, label);
        position = 0;
      }

      stream.skipNBytes(wanted == 0 ? 0 : offset - position);
      position = wanted == 0 ? position : offset;
      int found = stream.readNBytes(bytes, 0, wanted);
      position += found;
      if (found < wanted) {
        throw new TraceFormatException(
            "Truncated zip archive: %s ends at byte %d of %d"
                .formatted(label, position, entry.getSize()));
      }
    } catch (IOException e) {
      throw DecompressedStream.broken(label, e);
    }

    into.put(bytes);
    return wanted;
  }

  @Override
  public long sizeUpTo(long limit) {
    return Math.min(limit, entry.getSize());
  }

  @Override
  public boolean isRandomAccess() {
    return true;
  }

  @Override
  public void close() throws IOException {
    stream.close();
  }
}
