package io.expertatlas.trace.parquet;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.HalfFloat;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Objects;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.column.ColumnReader;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.schema.LogicalTypeAnnotation.Float16LogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType;
import org.apache.parquet.schema.Type;

/**
 * A column of a Parquet file of any writer whose rows are lists of numbers, read forward from any
 * row on; other columns are not read. Memory grows with the column's compressed size in a row
 * group. Not safe for several threads.
 */
public final class ListColumn implements Closeable {
  private final Path file;
  private final String name;
  private final ParquetFileReader reader;
  private final MessageType schema; // of this column only
  private final ColumnDescriptor leaf;
  private final long rows;
  private long row; // next row to read
  private int group; // next row group to open or to skip
  private long groupEnd; // first row behind the row group that is open
  private ColumnReader values; // of that row group
  private long left; // values in it that are not read

  private ListColumn(Path file, String name, ParquetFileReader reader) {
    this.file = file;
    this.name = name;
    this.reader = reader;
    this.rows = reader.getRecordCount();
    MessageType all = reader.getFileMetaData().getSchema();
    if (!all.containsField(name)) {
      throw new TraceFormatException(
          "Missing column %s in %s: it has %s"
              .formatted(name, file, all.getFields().stream().map(Type::getName).toList()));
    }

    this.schema = new MessageType(all.getName(), all.getType(name));
    if (schema.getColumns().size() != 1
        || schema.getColumns().get(0).getMaxRepetitionLevel() != 1
        || !isNumber(schema.getColumns().get(0).getPrimitiveType())) {
      throw new TraceFormatException(
          "Invalid column %s in %s: %s, expected a list of numbers"
              .formatted(name, file, ParquetFiles.oneLine(all.getType(name))));
    }

    this.leaf = schema.getColumns().get(0);
    reader.setRequestedSchema(schema);
  }

  /**
   * Opens a column.
   *
   * @throws TraceFormatException if it is no Parquet file, or has no such column of lists of
   *     numbers
   */
  public static ListColumn open(Path file, String name) {
    ParquetFileReader reader = ParquetFiles.open(file);
    try {
      return new ListColumn(file, name, reader);
    } catch (RuntimeException e) {
      close(file, reader);
      throw e;
    }
  }

  private static boolean isNumber(PrimitiveType type) {
    return switch (type.getPrimitiveTypeName()) {
      case INT32, INT64, FLOAT, DOUBLE -> true;
      case FIXED_LEN_BYTE_ARRAY ->
          type.getLogicalTypeAnnotation() instanceof Float16LogicalTypeAnnotation
              && type.getTypeLength() == 2;
      case BOOLEAN, BINARY, INT96 -> false;
    };
  }

  /** Whether the numbers are integers of 32 or 64 bits. */
  public boolean isInteger() {
    return switch (leaf.getPrimitiveType().getPrimitiveTypeName()) {
      case INT32, INT64 -> true;
      default -> false;
    };
  }

  /** The type of the column as Parquet writes it, for messages. */
  public String describe() {
    return ParquetFiles.oneLine(schema.getType(name));
  }

  /** Number of rows. */
  public long rows() {
    return rows;
  }

  /**
   * Length of the list in the first row; the next row to read stays where it is.
   *
   * @throws TraceFormatException if there is no row, or its list is empty or null
   */
  public int firstLength() {
    try (ListColumn twin = open(file, name)) {
      if (rows == 0) {
        throw new TraceFormatException("Cannot read a list from %s: it has no row".formatted(file));
      }

      twin.openGroup();
      return ParquetFiles.guard(
          file,
          () -> {
            int length = 0;
            do {
              twin.check(length);
              twin.values.skip();
              twin.consume();
              length++;
            } while (twin.left > 0 && twin.values.getCurrentRepetitionLevel() > 0);

            return length;
          });
    }
  }

  /** Goes forward to a row, over whole row groups where that is possible. */
  public void skipTo(long target) {
    if (target < row || target > rows) {
      throw new IllegalArgumentException("Invalid row: %d, %d to %d".formatted(target, row, rows));
    }

    while (row < target) {
      if (row == groupEnd) {
        long size = reader.getRowGroups().get(group).getRowCount();
        if (row + size <= target) {
          ParquetFiles.guard(file, reader::skipNextRowGroup);
          group++;
          row += size;
          groupEnd = row;
          continue;
        }

        openGroup();
      }

      ParquetFiles.guard(file, this::skipRow);
      row++;
    }
  }

  private boolean skipRow() {
    do {
      if (left == 0) {
        throw notAList(0);
      }

      values.skip();
      consume();
    } while (left > 0 && values.getCurrentRepetitionLevel() > 0);

    return true;
  }

  /**
   * Reads integers of the next rows.
   *
   * @param length of the lists
   * @param into {@code [row][element]}, at least {@code count * length} long
   * @throws TraceFormatException if a list has another length, or a null in it
   */
  public void readIntegers(int count, int length, long[] into) {
    boolean wide =
        leaf.getPrimitiveType().getPrimitiveTypeName() == PrimitiveType.PrimitiveTypeName.INT64;
    read(count, length, at -> into[at] = wide ? values.getLong() : values.getInteger());
  }

  /** Reads floating-point numbers of the next rows; see {@link #readIntegers}. */
  public void readFloats(int count, int length, float[] into) {
    switch (leaf.getPrimitiveType().getPrimitiveTypeName()) {
      case FLOAT -> read(count, length, at -> into[at] = values.getFloat());
      case DOUBLE -> read(count, length, at -> into[at] = (float) values.getDouble());
      case INT32 -> read(count, length, at -> into[at] = values.getInteger());
      case INT64 -> read(count, length, at -> into[at] = values.getLong());
      default ->
          read(
              count,
              length,
              at ->
                  into[at] =
                      HalfFloat.toFloat(
                          values
                              .getBinary()
                              .toByteBuffer()
                              .order(ByteOrder.LITTLE_ENDIAN)
                              .getShort()));
    }
  }

  private interface Sink {
    void take(int at);
  }

  private void read(int count, int length, Sink sink) {
    Objects.checkFromIndexSize(row, count, rows);
    for (int done = 0; done < count; ) {
      if (row == groupEnd) {
        openGroup();
      }

      int first = done;
      int some = (int) Math.min(count - done, groupEnd - row);
      ParquetFiles.guard(
          file,
          () -> {
            for (int i = 0; i < some; i++, row++) {
              for (int element = 0; element < length; element++) {
                check(element);
                sink.take((first + i) * length + element);
                consume();
              }
            }

            return true;
          });
      done += some;
      if (row == groupEnd) {
        finishGroup();
      }
    }
  }

  /** Checks that the next value is the one that is expected. */
  private void check(int element) {
    if (left == 0
        || values.getCurrentDefinitionLevel() != leaf.getMaxDefinitionLevel()
        || values.getCurrentRepetitionLevel() != (element == 0 ? 0 : 1)) {
      throw notAList(element);
    }
  }

  private void consume() {
    values.consume();
    left--;
  }

  private TraceFormatException notAList(int element) {
    return new TraceFormatException(
        element == 0
            ? "Invalid %s in %s at row %d: null, empty, or longer in the row before"
                .formatted(name, file, row)
            : "Invalid %s in %s at row %d: element %d is null or missing"
                .formatted(name, file, row, element));
  }

  private void openGroup() {
    PageReadStore pages = ParquetFiles.readNextRowGroup(file, reader);
    group++;
    groupEnd = row + pages.getRowCount();
    values =
        ParquetFiles.guard(
            file, () -> ParquetFiles.columns(reader, pages, schema).getColumnReader(leaf));
    left = pages.getPageReader(leaf).getTotalValueCount();
  }

  /** A list that is too long shows when the next begins, or here. */
  private void finishGroup() {
    if (left > 0) {
      throw new TraceFormatException(
          "Invalid %s in %s at row %d: longer than in the rows before"
              .formatted(name, file, row - 1));
    }
  }

  @Override
  public void close() {
    close(file, reader);
  }

  private static void close(Path file, ParquetFileReader reader) {
    try {
      reader.close();
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot close %s".formatted(file), e);
    }
  }
}
