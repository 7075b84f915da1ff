package io.expertatlas.trace.input;

import io.expertatlas.trace.TraceFormatException;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.TreeMap;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * A zip archive: {@code .npz}, {@code .pt}. Members that are stored are read by place, deflated
 * ones as compressed files are. Sizes come from the central directory and are checked against the
 * file. Not safe for several threads.
 */
public final class ZipArchive implements Closeable {
  private final Path file;
  private final ZipFile zip;
  private final long size;
  private final TreeMap<String, ZipEntry> entries;

  private ZipArchive(Path file, ZipFile zip, long size, TreeMap<String, ZipEntry> entries) {
    this.file = file;
    this.zip = zip;
    this.size = size;
    this.entries = entries;
  }

  /** Whether a file starts as an archive does (once decompressed). */
  public static boolean isArchive(Path file) {
    byte[] head = InputFiles.head(file, 4);
    return head.length == 4 && ByteBuffer.wrap(head).getInt() == 0x504b0304;
  }

  /**
   * Opens an archive; one that is itself compressed is decompressed to a temporary file.
   *
   * @throws TraceFormatException if it is none, or a name stands twice in it
   */
  public static ZipArchive open(Path file) throws IOException {
    Path plain = file;
    if (InputFiles.isCompressed(file)) {
      plain = Files.createTempFile("atlas-archive-", ".tmp");
      try (InputStream in = InputFiles.stream(file);
          OutputStream out = Files.newOutputStream(plain)) {
        in.transferTo(out);
      } catch (IOException | RuntimeException e) {
        Files.delete(plain);
        throw e;
      }
    }

    int mode = ZipFile.OPEN_READ | (plain.equals(file) ? 0 : ZipFile.OPEN_DELETE);
    long size = Files.size(plain);
    ZipFile zip;
    try {
      zip = new ZipFile(plain.toFile(), mode);
    } catch (IOException | IllegalArgumentException e) {
      if (!plain.equals(file)) {
        Files.deleteIfExists(plain);
      }

      throw new TraceFormatException(
          "Invalid zip archive: %s, %s".formatted(file, e.getMessage()), e);
    }

    try {
      TreeMap<String, ZipEntry> entries = new TreeMap<>();
      for (ZipEntry entry : Collections.list(zip.entries())) {
        if (entries.put(entry.getName(), entry) != null) {
          throw new TraceFormatException(
              "Invalid zip archive: %s has two members %s"
                  .formatted(file, printable(entry.getName())));
        }
      }

      return new ZipArchive(file, zip, size, entries);
    } catch (IllegalArgumentException e) {
      zip.close();
      throw new TraceFormatException(
          "Invalid zip archive: %s, %s".formatted(file, e.getMessage()), e);
    } catch (TraceFormatException e) {
      zip.close();
      throw e;
    }
  }

  /** A member's name, or any text of a file, as one line. */
  public static String printable(String text) {
    String shown = text.replaceAll("[^\\x20-\\x7e]", "?");
    return shown.length() > 80 ? shown.substring(0, 80) + "..." : shown;
  }

  /** The names of the members, sorted. */
  public List<String> names() {
    return List.copyOf(entries.keySet());
  }

  /** Whether there is a member of this name. */
  public boolean has(String name) {
    return entries.containsKey(name);
  }

  /** Bytes of a member once it is decompressed, as the archive announces them. */
  public long size(String name) {
    return entry(name).getSize();
  }

  /** Whether a member is stored as it is. */
  public boolean isStored(String name) {
    return entry(name).getMethod() == ZipEntry.STORED;
  }

  /**
   * Opens a member for reading by place. The archive must stay open meanwhile.
   *
   * @throws TraceFormatException if there is none of this name, or it cannot be where it is said to
   *     be
   */
  public InputBytes member(String name) throws IOException {
    ZipEntry entry = entry(name);
    checkPlace(entry);
    if (entry.getMethod() == ZipEntry.STORED) {
      return new StoredMember(zip, entry, label(name));
    }

    return new SpooledBytes(
        new DecompressedStream(
            StoredMember.stream(zip, entry, label(name)),
            label(name),
            Math.max(1, entry.getCompressedSize())));
  }

  /** The bytes of a member, which close this archive when they are closed. */
  public InputBytes lastMember(String name) throws IOException {
    return new LastMember(member(name), this);
  }

  private record LastMember(InputBytes member, ZipArchive archive) implements InputBytes {
    @Override
    public int read(long offset, ByteBuffer into) throws IOException {
      return member.read(offset, into);
    }

    @Override
    public long sizeUpTo(long limit) throws IOException {
      return member.sizeUpTo(limit);
    }

    @Override
    public boolean isRandomAccess() {
      return member.isRandomAccess();
    }

    @Override
    public void close() throws IOException {
      try (archive) {
        member.close();
      }
    }
  }

  /**
   * Reads a member from its first to its last byte and compares it with its checksum.
   *
   * @throws TraceFormatException if it is broken
   */
  public void verify(String name) throws IOException {
    ZipEntry entry = entry(name);
    checkPlace(entry);
    CRC32 crc = new CRC32();
    byte[] chunk = new byte[1 << 16];
    try (InputStream in =
        new DecompressedStream(
            StoredMember.stream(zip, entry, label(name)),
            label(name),
            Math.max(1, entry.getCompressedSize()))) {
      for (int count = in.read(chunk); count >= 0; count = in.read(chunk)) {
        crc.update(chunk, 0, count);
      }
    }

    if (crc.getValue() != entry.getCrc()) {
      throw new TraceFormatException(
          "Invalid member of a zip archive: %s has CRC %08x, by the archive %08x"
              .formatted(label(name), crc.getValue(), entry.getCrc()));
    }
  }

  private ZipEntry entry(String name) {
    ZipEntry entry = entries.get(name);
    if (entry == null) {
      throw new TraceFormatException("Missing member of a zip archive: %s".formatted(label(name)));
    }

    return entry;
  }

  private void checkPlace(ZipEntry entry) {
    boolean fits =
        entry.getCompressedSize() >= 0
            && entry.getCompressedSize() <= size
            && (entry.getMethod() != ZipEntry.STORED
                || entry.getSize() == entry.getCompressedSize());
    if (!fits) {
      throw new TraceFormatException(
          "Invalid member of a zip archive: %s announces %d bytes, %d in the archive, which has %d"
              .formatted(label(entry.getName()), entry.getSize(), entry.getCompressedSize(), size));
    }
  }

  private String label(String name) {
    return file + "/" + printable(name);
  }

  @Override
  public void close() throws IOException {
    zip.close();
  }
}
