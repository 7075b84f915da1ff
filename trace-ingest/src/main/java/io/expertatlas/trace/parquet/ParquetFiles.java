package io.expertatlas.trace.parquet;

import io.expertatlas.trace.TraceFormatException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.column.ColumnReadStore;
import org.apache.parquet.column.impl.ColumnReadStoreImpl;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.api.Converter;
import org.apache.parquet.io.api.GroupConverter;
import org.apache.parquet.io.api.PrimitiveConverter;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.Type;

/** Local Parquet files, read column by column without assembling records. */
final class ParquetFiles {
  private ParquetFiles() {}

  /** Opens a file; the CRCs of its pages, where they have any, are verified. */
  static ParquetFileReader open(Path file) {
    return guard(
        file,
        () -> {
          try {
            return ParquetFileReader.open(
                new LocalInputFile(file),
                new ParquetReadOptions.Builder(new PlainParquetConfiguration())
                    .usePageChecksumVerification(true)
                    .build());
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  static PageReadStore readNextRowGroup(Path file, ParquetFileReader reader) {
    return guard(
        file,
        () -> {
          try {
            return reader.readNextRowGroup();
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  static ColumnReadStore columns(
      ParquetFileReader reader, PageReadStore pages, MessageType schema) {
    return new ColumnReadStoreImpl(
        pages, new Ignore(schema), schema, reader.getFileMetaData().getCreatedBy());
  }

  /** Parquet throws many things at broken files; all of them mean the file. */
  static <T> T guard(Path file, Supplier<T> work) {
    try {
      return work.get();
    } catch (TraceFormatException e) {
      throw e;
    } catch (RuntimeException e) {
      Throwable cause = e instanceof UncheckedIOException ? e.getCause() : e;
      throw new TraceFormatException(
          "Cannot read %s as Parquet: %s"
              .formatted(
                  file,
                  cause.getMessage() == null
                      ? cause.getClass().getSimpleName()
                      : cause.getMessage().replaceAll("\\s+", " ").strip()),
          e);
    }
  }

  static String oneLine(Type type) {
    return type.toString().replaceAll("\\s+", " ").strip();
  }

  /** Columns are read directly; Parquet still wants to know where values would go. */
  private static final class Ignore extends GroupConverter {
    private final GroupType type;

    Ignore(GroupType type) {
      this.type = type;
    }

    @Override
    public Converter getConverter(int field) {
      Type child = type.getType(field);
      return child.isPrimitive() ? new PrimitiveConverter() {} : new Ignore(child.asGroupType());
    }

    @Override
    public void start() {}

    @Override
    public void end() {}
  }
}
