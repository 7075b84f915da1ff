package io.expertatlas.placement.format;

import io.expertatlas.affinity.Popularity;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Statistics for KTransformers' {@code --kt-expert-placement-strategy frequency}: a torch file, a
 * dictionary with {@code logical_count}, int64 {@code [1, model layer, expert]}. KTransformers
 * chooses its GPU experts from the counts by itself, so the placement does not enter; dense layers
 * have zeros.
 *
 * <p>The file is what {@code torch.save} writes: a zip of stored members, {@code data.pkl} (a
 * pickle, protocol 2, with the tensor's storage by reference), {@code byteorder}, {@code data/0}
 * (the numbers, little-endian) and {@code version}.
 */
final class KTransformersCounts implements PlacementFormat {
  private static final String ARCHIVE = "ktransformers/";
  private static final LocalDateTime WRITTEN = LocalDateTime.of(1980, 1, 1, 0, 0);

  @Override
  public String name() {
    return "ktransformers";
  }

  @Override
  public String fileName() {
    return "ktransformers.pt";
  }

  @Override
  public String loading() {
    return "--kt-expert-placement-strategy frequency --init-expert-location " + fileName();
  }

  @Override
  public void check(int experts, int slots, Topology topology) {}

  @Override
  public byte[] bytes(Placement placement, LayerRows layers, Popularity popularity) {
    int experts = placement.experts();
    int rows = layers.hiddenLayers();
    ByteBuffer counts =
        ByteBuffer.allocate(Math.multiplyExact(8 * rows, experts)).order(ByteOrder.LITTLE_ENDIAN);
    for (int row = 0; row < rows; row++) {
      int layer = layers.layerAt(row);
      for (int expert = 0; expert < experts; expert++) {
        counts.putLong(layer < 0 ? 0 : popularity.choices(layer, expert));
      }
    }

    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      zip.setMethod(ZipOutputStream.STORED);
      put(zip, "data.pkl", pickle(rows, experts));
      put(zip, "byteorder", "little".getBytes(StandardCharsets.US_ASCII));
      put(zip, "data/0", counts.array());
      put(zip, "version", "3\n".getBytes(StandardCharsets.US_ASCII));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }

    return bytes.toByteArray();
  }

  private static void put(ZipOutputStream zip, String name, byte[] content) throws IOException {
    ZipEntry entry = new ZipEntry(ARCHIVE + name);
    CRC32 sum = new CRC32();
    sum.update(content);
    entry.setSize(content.length);
    entry.setCrc(sum.getValue());
    entry.setTimeLocal(WRITTEN);
    zip.putNextEntry(entry);
    zip.write(content);
    zip.closeEntry();
  }

  /** The dictionary, as opcodes of pickle protocol 2; the tensor by torch's rebuild function. */
  private static byte[] pickle(int rows, int experts) {
    ByteBuffer out = ByteBuffer.allocate(512).order(ByteOrder.LITTLE_ENDIAN);
    out.put((byte) 0x80).put((byte) 2).put((byte) '}'); // protocol, empty dictionary
    text(out, "logical_count");
    global(out, "torch._utils", "_rebuild_tensor_v2");
    out.put((byte) '('); // its arguments
    out.put((byte) '('); // the storage: kind, type, key, place, numbers in it
    text(out, "storage");
    global(out, "torch", "LongStorage");
    text(out, "0");
    text(out, "cpu");
    whole(out, rows * experts);
    out.put((byte) 't').put((byte) 'Q'); // tuple, persistent id
    whole(out, 0); // offset
    triple(out, 1, rows, experts); // shape
    triple(out, rows * experts, experts, 1); // strides
    out.put((byte) 0x89); // no gradient
    global(out, "collections", "OrderedDict"); // no hooks
    out.put((byte) ')').put((byte) 'R'); // empty tuple, call
    out.put((byte) 't').put((byte) 'R'); // tuple, call
    out.put((byte) 's').put((byte) '.'); // set item, stop
    byte[] bytes = new byte[out.position()];
    out.flip().get(bytes);
    return bytes;
  }

  private static void text(ByteBuffer out, String value) {
    byte[] bytes = value.getBytes(StandardCharsets.US_ASCII);
    out.put((byte) 'X').putInt(bytes.length).put(bytes);
  }

  private static void global(ByteBuffer out, String module, String name) {
    out.put((byte) 'c').put((module + "\n" + name + "\n").getBytes(StandardCharsets.US_ASCII));
  }

  private static void whole(ByteBuffer out, int value) {
    if (value < 1 << 8) {
      out.put((byte) 'K').put((byte) value);
    } else if (value < 1 << 16) {
      out.put((byte) 'M').putShort((short) value);
    } else {
      out.put((byte) 'J').putInt(value);
    }
  }

  private static void triple(ByteBuffer out, int a, int b, int c) {
    whole(out, a);
    whole(out, b);
    whole(out, c);
    out.put((byte) 0x87);
  }

  @Override
  public Placement read(Path file, LayerRows layers, int experts, Topology topology) {
    throw new PlacementFormatException(
        "Cannot use %s: a torch file of counts, from which the engine chooses, is no placement"
            .formatted(file));
  }
}
