package io.expertatlas.trace.parquet;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.parquet.HadoopDataset.PartFile;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.NoSuchFileException;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.schema.MessageType;

/** Checks of a Parquet file against the manifest, and what is said if it is broken. */
final class DatasetPart {
  private DatasetPart() {}

  static void checkSize(PartFile file, Part part) {
    try {
      if (file.input().getLength() != part.bytes()) {
        throw new TraceFormatException(
            "Invalid part of the dataset: %s has %d bytes, by the manifest %d"
                .formatted(file.name(), file.input().getLength(), part.bytes()));
      }
    } catch (FileNotFoundException | NoSuchFileException e) {
      throw missing(file.name(), e);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(file.name(), message(e)), e);
    }
  }

  static TraceFormatException missing(String file, Exception cause) {
    return new TraceFormatException(
        "Missing part of the dataset: %s, which its manifest names".formatted(file), cause);
  }

  static void check(PartFile file, ParquetFileReader reader, MessageType expected, Part part) {
    MessageType found = reader.getFileMetaData().getSchema();
    if (!found.getFields().equals(expected.getFields())) {
      throw new TraceFormatException(
          "Invalid columns in %s: %s, expected %s"
              .formatted(file.name(), oneLine(found), oneLine(expected)));
    }

    if (reader.getRecordCount() != part.rows()) {
      throw new TraceFormatException(
          "Invalid part of the dataset: %s has %d rows, by the manifest %d"
              .formatted(file.name(), reader.getRecordCount(), part.rows()));
    }
  }

  private static String oneLine(MessageType type) {
    return type.toString().replaceAll("\\s+", " ").strip();
  }

  /** Parquet throws many things at broken files; all of them mean the file. */
  static TraceFormatException broken(PartFile file, Exception failure) {
    if (failure instanceof TraceFormatException e) {
      return e;
    }

    return new TraceFormatException(
        "Cannot read %s as Parquet: %s".formatted(file.name(), message(failure)), failure);
  }

  private static String message(Exception failure) {
    return failure.getMessage() == null
        ? failure.getClass().getSimpleName()
        : failure.getMessage().lines().findFirst().orElse("");
  }
}
