package io.expertatlas.trace.parquet;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.column.ColumnReadStore;
import org.apache.parquet.column.ColumnReader;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.schema.MessageType;

/**
 * Reads rows of one Parquet file of a dataset, column by column, without assembling records. Memory
 * grows with a row group's compressed size.
 */
final class DatasetPartReader implements AutoCloseable {
  private static final int BATCH_CHOICES = 1 << 20;
  private static final int BATCH_TOKENS = 1 << 16;

  private final Path file;
  private final ModelShape shape;
  private final MessageType schema;
  private final boolean weights;
  private final long to;
  private final ParquetFileReader reader;
  private long row; // next row to read
  private int group; // next row group to open or to skip
  private long groupEnd; // first row behind the row group that is open
  private Optional<ColumnReader[]> columns = Optional.empty();

  DatasetPartReader(Path file, TraceManifest manifest, Part part, long from, long to) {
    this.file = file;
    this.shape = manifest.shape();
    this.weights = manifest.weights();
    this.schema = DatasetSchema.of(shape, weights);
    this.to = to;
    this.reader = ParquetFiles.open(file);
    try {
      check(part);
      start(from);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private <T> T parquet(Supplier<T> work) {
    return ParquetFiles.guard(file, work);
  }

  private void check(Part part) {
    MessageType found = reader.getFileMetaData().getSchema();
    if (!found.getFields().equals(schema.getFields())) {
      throw new TraceFormatException(
          "Invalid columns in %s: %s, expected %s"
              .formatted(file, ParquetFiles.oneLine(found), ParquetFiles.oneLine(schema)));
    }

    if (reader.getRecordCount() != part.rows()) {
      throw new TraceFormatException(
          "Invalid part of the dataset: %s has %d rows, by the manifest %d"
              .formatted(file, reader.getRecordCount(), part.rows()));
    }
  }

  private void start(long from) {
    while (row < from) {
      long size = reader.getRowGroups().get(group).getRowCount();
      if (row + size > from) {
        openGroup();
        skip(from - row);
        row = from;
        return;
      }

      parquet(reader::skipNextRowGroup);
      group++;
      row += size;
      groupEnd = row;
    }
  }

  private void openGroup() {
    PageReadStore pages = ParquetFiles.readNextRowGroup(file, reader);
    group++;
    groupEnd = row + pages.getRowCount();
    ColumnReadStore store = ParquetFiles.columns(reader, pages, schema);
    int count = schema.getFieldCount();
    ColumnReader[] readers = new ColumnReader[count];
    for (int i = 0; i < count; i++) {
      ColumnDescriptor column = schema.getColumns().get(i);
      readers[i] = parquet(() -> store.getColumnReader(column));
    }

    columns = Optional.of(readers);
  }

  private void skip(long rows) {
    parquet(
        () -> {
          for (ColumnReader column : columns.orElseThrow()) {
            int width = column.getDescriptor().getMaxRepetitionLevel() == 0 ? 1 : width();
            for (long i = 0; i < rows * width; i++) {
              column.skip();
              column.consume();
            }
          }

          return true;
        });
  }

  private int width() {
    return shape.choicesPerToken();
  }

  /** The next rows, or empty at the end of the range. */
  Optional<RoutingTrace> next() {
    if (row >= to) {
      return Optional.empty();
    }

    if (row == groupEnd) {
      openGroup();
    }

    int count =
        (int)
            Math.min(
                Math.min(to, groupEnd) - row,
                Math.max(1, Math.min(BATCH_TOKENS, BATCH_CHOICES / width())));
    RoutingTrace batch = parquet(() -> read(count));
    row += count;
    return Optional.of(batch);
  }

  private RoutingTrace read(int count) {
    ColumnReader[] open = columns.orElseThrow();
    int[] sequence = new int[count];
    int[] position = new int[count];
    byte[] phase = new byte[count];
    for (int i = 0; i < count; i++) {
      sequence[i] = nextInteger(open[DatasetSchema.SEQUENCE], "sequence", Integer.MAX_VALUE, i);
      position[i] = nextInteger(open[DatasetSchema.POSITION], "position", Integer.MAX_VALUE, i);
      phase[i] = (byte) nextInteger(open[DatasetSchema.PHASE], "phase", 1, i);
    }

    short[] experts = new short[count * width()];
    ColumnReader expertColumn = open[DatasetSchema.EXPERTS];
    for (int i = 0; i < experts.length; i++) {
      checkList(expertColumn, i, "experts");
      experts[i] = (short) nextInteger(expertColumn, "expert id", shape.experts() - 1, i / width());
    }

    float[] weight = new float[weights ? experts.length : 0];
    for (int i = 0; i < weight.length; i++) {
      ColumnReader column = open[DatasetSchema.WEIGHTS];
      checkList(column, i, "weights");
      weight[i] = column.getFloat();
      column.consume();
    }

    try {
      return RoutingTrace.of(shape, experts, weight, sequence, position, phase);
    } catch (IllegalArgumentException e) {
      throw new TraceFormatException(
          "%s (tokens counted from row %d of %s)".formatted(e.getMessage(), row, file), e);
    }
  }

  private int nextInteger(ColumnReader column, String what, int max, int token) {
    int value = column.getInteger();
    if (value < 0 || value > max) {
      throw new TraceFormatException(
          "Invalid %s %d in %s at row %d: 0 to %d".formatted(what, value, file, row + token, max));
    }

    column.consume();
    return value;
  }

  /** Checks that the list of a row has exactly {@code layers * k} elements. */
  private void checkList(ColumnReader column, int index, String name) {
    boolean starts = index % width() == 0;
    if (column.getCurrentDefinitionLevel() != 1
        || starts != (column.getCurrentRepetitionLevel() == 0)) {
      throw new TraceFormatException(
          "Invalid %s in %s at row %d: not a list of %d"
              .formatted(name, file, row + index / width(), width()));
    }
  }

  @Override
  public void close() {
    try {
      reader.close();
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot close %s".formatted(file), e);
    }
  }
}
