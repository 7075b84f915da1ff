package io.expertatlas.trace.torch;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.InputBytes;
import io.expertatlas.trace.input.InputFiles;
import io.expertatlas.trace.input.ZipArchive;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * A file that {@code torch.save} wrote (PyTorch 1.6 or newer): {@code ROOT/data.pkl}, a pickle, and
 * {@code ROOT/data/KEY}, the storages of its tensors. Opening reads the pickle alone; a storage is
 * compared with its checksum and read when numbers of it are asked for. Tensors live as long as the
 * file is open. Not safe for several threads.
 */
public final class TorchFile implements Closeable {
  private static final byte[] LEGACY = {(byte) 0x80, 2, (byte) 0x8a, 0x0a, 0x6c, (byte) 0xfc};
  private static final String PICKLE = "data.pkl";

  /** What is below the root: an unknown name may be that of a broken member, byteorder say. */
  private static final Pattern MEMBER =
      Pattern.compile(
          "data\\.pkl|data/\\d{1,9}|version|byteorder|\\.data/serialization_id"
              + "|\\.format_version|\\.storage_alignment");

  /** A longer pickle holds arrays: it is compared with its checksum when one of them is read. */
  private static final long EARLY_CHECK_BYTES = 1 << 24;

  private final Path path;
  private final ZipArchive archive;
  private final String root;
  private final ByteOrder order;
  private final TreeSet<String> verified = new TreeSet<>();
  private String openName = "";
  private InputBytes open; // of openName
  private TorchTensor heldTensor;
  private ByteBuffer heldRegion; // of heldTensor

  private TorchFile(Path path, ZipArchive archive, String root, ByteOrder order) {
    this.path = path;
    this.archive = archive;
    this.root = root;
    this.order = order;
  }

  /** Whether a file looks as if {@code torch.save} wrote it. */
  public static boolean isTorch(Path path) {
    if (!Files.isRegularFile(path)) {
      return false;
    }

    if (isLegacy(path)) {
      return true;
    }

    if (!ZipArchive.isArchive(path)) {
      return false;
    }

    try (ZipArchive archive = ZipArchive.open(path)) {
      return pickles(archive).size() == 1;
    } catch (IOException | TraceFormatException e) {
      return false; // not readable: whoever opens it says why
    }
  }

  private static boolean isLegacy(Path path) {
    return Arrays.equals(InputFiles.head(path, LEGACY.length), LEGACY);
  }

  private static List<String> pickles(ZipArchive archive) {
    return archive.names().stream().filter(name -> name.matches("[^/]+/data\\.pkl")).toList();
  }

  /**
   * Opens a file.
   *
   * @throws TraceFormatException if it is no such file, or its pickle holds anything but plain
   *     values, tensors and numpy arrays
   */
  public static TorchFile open(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new TraceFormatException(
          "Cannot read torch file %s: %s"
              .formatted(path, Files.exists(path) ? "not a file" : "no such file"));
    }

    if (isLegacy(path)) {
      throw new TraceFormatException(
          "Cannot read torch file %s: it has the form of PyTorch before 1.6. Maybe load it and save it again with a newer one"
              .formatted(path));
    }

    try {
      ZipArchive archive = ZipArchive.open(path);
      try {
        return open(path, archive);
      } catch (IOException | RuntimeException e) {
        archive.close();
        throw e;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read torch file %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  private static TorchFile open(Path path, ZipArchive archive) throws IOException {
    List<String> pickles = pickles(archive);
    if (pickles.size() != 1) {
      throw new TraceFormatException(
          "Invalid torch file: %s has %d members ROOT/data.pkl, expected 1, among %s"
              .formatted(
                  path,
                  pickles.size(),
                  archive.names().stream().limit(10).map(ZipArchive::printable).toList()));
    }

    String pickle = pickles.get(0);
    String root = pickle.substring(0, pickle.length() - PICKLE.length());
    for (String name : archive.names()) {
      if (!name.startsWith(root) || !MEMBER.matcher(name.substring(root.length())).matches()) {
        throw new TraceFormatException(
            "Invalid torch file: %s has a member %s, which torch.save does not write. Maybe it is broken, or a TorchScript archive"
                .formatted(path, ZipArchive.printable(name)));
      }
    }

    return new TorchFile(path, archive, root, order(path, archive, root + "byteorder"));
  }

  private static ByteOrder order(Path path, ZipArchive archive, String member) throws IOException {
    if (!archive.has(member)) {
      return ByteOrder.LITTLE_ENDIAN; // as every file before there was such a member
    }

    archive.verify(member);
    ByteBuffer text = ByteBuffer.allocate(16);
    try (InputBytes bytes = archive.member(member)) {
      bytes.read(0, text);
    }

    String word = new String(text.array(), 0, text.position(), StandardCharsets.ISO_8859_1).strip();
    return switch (word) {
      case "little" -> ByteOrder.LITTLE_ENDIAN;
      case "big" -> ByteOrder.BIG_ENDIAN;
      default ->
          throw new TraceFormatException(
              "Invalid byte order in torch file %s: '%s', little or big"
                  .formatted(path, ZipArchive.printable(word)));
    };
  }

  /**
   * Reads the pickle: the value that was saved.
   *
   * @throws TraceFormatException if it is broken or holds what is not whitelisted
   */
  public TorchValue root() {
    String label = path + "/" + PICKLE;
    try {
      Object value =
          new Unpickler(
                  new PickleInput(
                      bytes(pickle(), archive.size(pickle()) <= EARLY_CHECK_BYTES), label),
                  new Constructors(this, path.toString()),
                  label)
              .load();
      return new TorchValue(value, "", path.toString());
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(label, e.getMessage()), e);
    }
  }

  Path path() {
    return path;
  }

  ByteOrder order() {
    return order;
  }

  String pickle() {
    return root + PICKLE;
  }

  /** Finds a storage and compares its size with what the pickle says. */
  String storage(String key, TorchType type, long elements) {
    String member = root + "data/" + key;
    if (!archive.has(member)) {
      throw new TraceFormatException(
          "Invalid torch file %s: its pickle names storage %s, which it does not have"
              .formatted(path, ZipArchive.printable(member)));
    }

    long size = archive.size(member);
    if (elements < 0 || elements != size / type.size() || size % type.size() != 0) {
      throw new TraceFormatException(
          "Invalid torch file %s: storage %s has %d bytes, its pickle announces %d elements of %s"
              .formatted(path, ZipArchive.printable(member), size, elements, type));
    }

    return member;
  }

  /** The bytes of a member, which stay open until another is asked for. */
  InputBytes bytes(String member) throws IOException {
    return bytes(member, true);
  }

  private InputBytes bytes(String member, boolean verify) throws IOException {
    if (verify && verified.add(member)) {
      checkStored(member);
      archive.verify(member);
    }

    if (!openName.equals(member)) {
      closeMember();
      checkStored(member);
      open = archive.member(member);
      openName = member;
    }

    return open;
  }

  private void checkStored(String member) {
    if (!archive.isStored(member)) {
      throw new TraceFormatException(
          "Invalid torch file %s: member %s is compressed, torch.save stores its members as they are"
              .formatted(path, ZipArchive.printable(member)));
    }
  }

  /** The region of a tensor that does not lie in order; that of one tensor is held at a time. */
  ByteBuffer region(TorchTensor tensor) throws IOException {
    if (heldTensor != tensor) {
      heldTensor = null;
      heldRegion = null; // before the next is there
      heldRegion = tensor.readRegion();
      heldTensor = tensor;
    }

    return heldRegion;
  }

  private void closeMember() throws IOException {
    if (open != null) {
      openName = "";
      open.close();
      open = null;
    }
  }

  @Override
  public void close() {
    try (archive) {
      closeMember();
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot close %s".formatted(path), e);
    }
  }
}
