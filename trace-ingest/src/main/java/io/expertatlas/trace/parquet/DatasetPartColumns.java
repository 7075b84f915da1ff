package io.expertatlas.trace.parquet;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenRows;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.parquet.HadoopDataset.PartFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.ShortBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.conf.ParquetConfiguration;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.Type;

/**
 * Reads some columns and row groups of one Parquet file of a dataset, in bulk. It holds the rows
 * that were read last; {@link #read} replaces them. Ids and lists are checked as they are decoded;
 * that a top-k is distinct is left to the CRC of the pages, which is verified too. Not safe for
 * several threads.
 */
public final class DatasetPartColumns implements TokenRows, AutoCloseable {
  private static final int NONE = -1;

  private final PartFile file;
  private final ModelShape shape;
  private final ParquetFileReader reader;
  private final MessageType columns;
  private final int[] groups;
  private final PageColumn[] open; // [DatasetSchema.SEQUENCE...], null if not wanted
  private final int[][] values; // [column][row or row * choice], but for experts

  private int nextGroup;
  private long groupLeft; // rows left in the open row group
  private int tokens;
  private byte[] expertBytes = {}; // of experts
  private ShortBuffer experts = ShortBuffer.allocate(0); // [row][layer][rank], unsigned
  private float[] floats = {};

  /**
   * Opens the file.
   *
   * @param file of the part
   * @param part what the manifest says of it
   * @param weights whether the dataset has router weights
   * @param wanted names of the columns to read
   * @param groups indices of the row groups to read, in their order; empty: all
   * @throws TraceFormatException if it is not what the manifest says
   */
  public DatasetPartColumns(
      PartFile file,
      Part part,
      ModelShape shape,
      boolean weights,
      List<String> wanted,
      int[] groups) {
    this.file = file;
    this.shape = shape;
    MessageType schema = DatasetSchema.of(shape, weights);
    this.reader = openFile(file, part);
    try {
      DatasetPart.check(file, reader, schema, part);
      int count = reader.getRowGroups().size();
      this.groups = groups.length > 0 ? groups.clone() : allOf(count);
      List<Type> some = new ArrayList<>();
      for (Type field : schema.getFields()) {
        if (wanted.contains(field.getName())) {
          some.add(field);
        }
      }

      this.columns = new MessageType(schema.getName(), some);
      this.open = new PageColumn[DatasetSchema.WEIGHTS + 1];
      this.values = new int[open.length][0];
      reader.setRequestedSchema(columns);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private static int[] allOf(int count) {
    int[] all = new int[count];
    for (int i = 0; i < count; i++) {
      all[i] = i;
    }

    return all;
  }

  private static ParquetFileReader openFile(PartFile file, Part part) {
    DatasetPart.checkSize(file, part);
    ParquetConfiguration configuration = new PlainParquetConfiguration();
    try {
      return ParquetFileReader.open(
          file.input(),
          new ParquetReadOptions.Builder(configuration)
              .withCodecFactory(new PageCodecs(configuration))
              .usePageChecksumVerification(true)
              .build());
    } catch (IOException | RuntimeException e) {
      throw DatasetPart.broken(file, e);
    }
  }

  /**
   * Reads the next rows, fewer at the end of a row group.
   *
   * @return whether there were any
   * @throws TraceFormatException if the file is broken
   */
  public boolean read(int atMost) {
    try {
      while (groupLeft == 0) {
        if (nextGroup == groups.length) {
          tokens = 0;
          return false;
        }

        openGroup(groups[nextGroup++]);
      }

      tokens = (int) Math.min(atMost, groupLeft);
      for (int column = 0; column < open.length; column++) {
        if (open[column] == null) {
          continue;
        }

        int size = Math.multiplyExact(tokens, width(column));
        if (column == DatasetSchema.EXPERTS) {
          if (experts.capacity() < size) {
            expertBytes = new byte[Math.multiplyExact(Short.BYTES, size)];
            experts = ByteBuffer.wrap(expertBytes).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer();
          }

          open[column].read(expertBytes, tokens);
        } else {
          if (values[column].length < size) {
            values[column] = new int[size];
          }

          open[column].read(values[column], tokens);
        }
      }

      groupLeft -= tokens;
      return true;
    } catch (IOException | RuntimeException e) {
      throw DatasetPart.broken(file, e);
    }
  }

  /** Skips rows, at least one, of the row group that is read next or being read. */
  public void skip(long rows, int atOnce) {
    for (long left = rows; left > 0; left -= tokens) {
      if (!read((int) Math.min(left, atOnce))) {
        throw new TraceFormatException(
            "Cannot skip %d rows of %s: it has fewer".formatted(rows, file.name()));
      }
    }
  }

  private void openGroup(int group) throws IOException {
    if (columns.getFieldCount() == 0) {
      groupLeft = reader.getRowGroups().get(group).getRowCount();
      return;
    }

    PageReadStore pages = reader.readRowGroup(group);
    groupLeft = pages.getRowCount();
    for (ColumnDescriptor descriptor : columns.getColumns()) {
      int column = DatasetSchema.indexOf(descriptor.getPath()[0]);
      open[column] =
          new PageColumn(pages.getPageReader(descriptor), descriptor, width(column), max(column));
    }
  }

  private int width(int column) {
    return column == DatasetSchema.EXPERTS || column == DatasetSchema.WEIGHTS
        ? shape.choicesPerToken()
        : 1;
  }

  private int max(int column) {
    return switch (column) {
      case DatasetSchema.PHASE -> 1;
      case DatasetSchema.EXPERTS -> shape.experts() - 1;
      case DatasetSchema.WEIGHTS -> NONE;
      default -> Integer.MAX_VALUE;
    };
  }

  @Override
  public int tokens() {
    return tokens;
  }

  private int[] column(int index) {
    return Optional.ofNullable(open[index]).map(c -> values[index]).orElseThrow();
  }

  @Override
  public int sequence(int token) {
    return values[DatasetSchema.SEQUENCE][token];
  }

  @Override
  public int position(int token) {
    return values[DatasetSchema.POSITION][token];
  }

  @Override
  public void copySequences(int from, int to, IntBuffer into) {
    into.put(column(DatasetSchema.SEQUENCE), from, to - from);
  }

  @Override
  public void copyPositions(int from, int to, IntBuffer into) {
    into.put(column(DatasetSchema.POSITION), from, to - from);
  }

  @Override
  public void copyPhases(int from, int to, ByteBuffer into) {
    int[] phases = column(DatasetSchema.PHASE);
    for (int token = from; token < to; token++) {
      into.put((byte) phases[token]);
    }
  }

  @Override
  public void copyExperts(int from, int to, LayerSelection layers, ShortBuffer into) {
    if (open[DatasetSchema.EXPERTS] == null) {
      throw new IllegalStateException("The column of experts was not asked for");
    }

    layers.forEachPiece(
        from,
        to,
        (at, count) -> {
          into.put(into.position(), experts, at, count);
          into.position(into.position() + count);
        });
  }

  @Override
  public void copyWeights(int from, int to, LayerSelection layers, FloatBuffer into) {
    int[] bits = column(DatasetSchema.WEIGHTS);
    layers.forEachPiece(
        from,
        to,
        (at, count) -> {
          if (floats.length < count) {
            floats = new float[count];
          }

          for (int i = 0; i < count; i++) {
            floats[i] = Float.intBitsToFloat(bits[at + i]);
          }

          into.put(floats, 0, count);
        });
  }

  @Override
  public void close() {
    try {
      reader.close();
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot close %s".formatted(file.name()), e);
    }
  }
}
