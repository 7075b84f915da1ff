package io.expertatlas.predictor.store;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.SequenceSplit.Part;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;

/**
 * The states of one layer, on their way to its training: {@link LayerBlock blocks} are appended to
 * files of a temporary folder, which is deleted when this is closed. Only the part of each row is
 * kept in memory.
 */
public final class LayerSpool implements LayerStates, AutoCloseable {
  private static final String HIDDEN = "hidden.f32";
  private static final String GATES = "gates.f32";
  private static final String EXPERTS = "experts.u16";

  private final Path folder;
  private final PredictedModel model;
  private final String origin;
  private final LayerBlock.Layout layout;
  private final List<FileChannel> files; // in the order of a block
  private byte[] parts = new byte[1 << 10]; // [row]
  private int rows;

  /**
   * Begins a spool.
   *
   * @param parent folder in which a new one is made
   * @param heads layers that this one predicts
   * @param origin what the rows are read from, in words
   */
  public LayerSpool(Path parent, PredictedModel model, int heads, String origin)
      throws IOException {
    this.model = model;
    this.origin = origin;
    this.layout = LayerBlock.Layout.of(model, heads);
    this.folder = Files.createTempDirectory(parent, "layer-states-");
    try {
      this.files = List.of(create(HIDDEN), create(GATES), create(EXPERTS));
    } catch (IOException e) {
      delete();
      throw e;
    }
  }

  private FileChannel create(String name) throws IOException {
    return FileChannel.open(
        folder.resolve(name), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
  }

  /**
   * Appends the rows of a block.
   *
   * @throws PredictorFormatException if there are more than 2^31 - 1
   */
  public void add(byte[] block) throws IOException {
    int count = layout.rows(block);
    if (rows > Integer.MAX_VALUE - 8 - count) {
      throw new PredictorFormatException(
          "Cannot train a layer on more than %d tokens".formatted(Integer.MAX_VALUE - 8));
    }

    if (parts.length < rows + count) {
      parts =
          Arrays.copyOf(
              parts, (int) Math.min(Integer.MAX_VALUE - 8, Math.max(2L * rows, rows + count)));
    }

    System.arraycopy(block, 0, parts, rows, count);
    int at = count;
    for (int file = 0; file < files.size(); file++) {
      int length = count * layout.bytes(file);
      ByteBuffer bytes = ByteBuffer.wrap(block, at, length);
      while (bytes.hasRemaining()) {
        files.get(file).write(bytes);
      }

      at += length;
    }

    rows += count;
  }

  /** The rows of a part, ascending. */
  public int[] rows(Part part) {
    int[] found = new int[rows];
    int count = 0;
    for (int row = 0; row < rows; row++) {
      if (parts[row] == part.ordinal()) {
        found[count++] = row;
      }
    }

    return Arrays.copyOf(found, count);
  }

  @Override
  public PredictedModel model() {
    return model;
  }

  @Override
  public String origin() {
    return origin;
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public void readHidden(int row, int count, float[] into, int at) {
    StateFile.readFloats(folder.resolve(HIDDEN), layout.hidden(), row, count, into, at);
  }

  @Override
  public void readGates(int row, int count, float[] into, int at) {
    StateFile.readFloats(folder.resolve(GATES), layout.gates(), row, count, into, at);
  }

  @Override
  public void readExperts(int row, int count, short[] into, int at) {
    StateFile.readShorts(folder.resolve(EXPERTS), layout.experts(), row, count, into, at);
  }

  private void delete() throws IOException {
    for (String name : List.of(HIDDEN, GATES, EXPERTS)) {
      Files.deleteIfExists(folder.resolve(name));
    }

    Files.delete(folder);
  }

  /** Deletes the files. */
  @Override
  public void close() {
    try {
      for (FileChannel file : files) {
        file.close();
      }

      delete();
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot delete %s: %s".formatted(folder, e.getMessage()), e);
    }
  }
}
