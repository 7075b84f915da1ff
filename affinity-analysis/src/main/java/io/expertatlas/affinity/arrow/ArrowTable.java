package io.expertatlas.affinity.arrow;

import io.expertatlas.affinity.AffinityFormatException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/** Arrow IPC files of many rows, written and read a batch at a time. */
final class ArrowTable {
  private static final int BATCH_ROWS = 1 << 16;

  private ArrowTable() {}

  /** Takes the rows of a table, one by one. */
  interface Rows {
    /** Sets row {@code row} of the vectors; returns false, having set nothing, at the end. */
    boolean set(List<FieldVector> vectors, int row);
  }

  /** Takes a batch that was read. */
  interface Batch {
    void accept(List<FieldVector> vectors, int rows);
  }

  static void write(
      BufferAllocator allocator,
      Path file,
      List<Field> fields,
      Map<String, String> metadata,
      Rows rows)
      throws IOException {
    try (VectorSchemaRoot root = VectorSchemaRoot.create(new Schema(fields, metadata), allocator);
        FileChannel channel =
            FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        ArrowFileWriter writer = new ArrowFileWriter(root, null, channel)) {
      writer.start();
      boolean more = true;
      while (more) {
        root.allocateNew();
        int count = 0;
        while (count < BATCH_ROWS && (more = rows.set(root.getFieldVectors(), count))) {
          count++;
        }

        if (count > 0) {
          root.setRowCount(count);
          writer.writeBatch();
        }
      }

      writer.end();
    }
  }

  /**
   * Reads a table.
   *
   * @return the metadata of its schema
   * @throws AffinityFormatException if the file is missing, not an Arrow file, or of other columns
   */
  static Map<String, String> metadata(BufferAllocator allocator, Path file, List<Field> fields)
      throws IOException {
    return read(allocator, file, fields, null);
  }

  static Map<String, String> read(
      BufferAllocator allocator, Path file, List<Field> fields, Batch batch) throws IOException {
    if (!Files.isRegularFile(file)) {
      throw new AffinityFormatException("Cannot read %s: no such file".formatted(file));
    }

    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
        ArrowFileReader reader = new ArrowFileReader(channel, allocator)) {
      VectorSchemaRoot root = reader.getVectorSchemaRoot();
      if (!root.getSchema().getFields().equals(fields)) {
        throw new AffinityFormatException(
            "Cannot read %s: its columns are %s, expected %s"
                .formatted(file, root.getSchema().getFields(), fields));
      }

      while (batch != null && reader.loadNextBatch()) {
        batch.accept(root.getFieldVectors(), root.getRowCount());
      }

      return root.getSchema().getCustomMetadata();
    } catch (AffinityFormatException e) {
      throw new AffinityFormatException(
          e.getMessage().startsWith("Cannot read")
              ? e.getMessage()
              : "Cannot read %s: %s".formatted(file, e.getMessage()),
          e);
    } catch (IOException | RuntimeException e) {
      // Arrow throws what its buffers throw when a file is cut or overwritten
      throw new AffinityFormatException(
          "Cannot read %s: not a complete Arrow file (%s)".formatted(file, e.getMessage()), e);
    }
  }
}
