package io.expertatlas.trace.parquet;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifestParser;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.column.statistics.IntStatistics;
import org.apache.parquet.column.statistics.Statistics;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.metadata.BlockMetaData;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.parquet.io.InputFile;
import org.apache.parquet.io.LocalInputFile;

/** Datasets on any file system that Hadoop knows. Stateless. */
public final class HadoopDataset {
  private HadoopDataset() {}

  /**
   * The Parquet file of a part.
   *
   * @param name its path, for messages
   * @param input its bytes
   */
  public record PartFile(String name, InputFile input) {}

  /**
   * A row group of a part.
   *
   * @param index in its file, from 0
   * @param rows in it
   * @param sequences smallest and largest sequence id
   * @param positions smallest and largest position
   */
  public record RowGroup(int index, long rows, Bounds sequences, Bounds positions) {}

  /** Smallest and largest value of a column, or wider if the file does not say. */
  public record Bounds(int min, int max) {
    private static final Bounds ANY = new Bounds(0, Integer.MAX_VALUE);

    private static Bounds of(Statistics<?> statistics) {
      return statistics instanceof IntStatistics known && known.hasNonNullValue()
          ? new Bounds(known.getMin(), known.getMax())
          : ANY;
    }
  }

  /**
   * The manifest of a dataset, or empty if the folder holds none.
   *
   * @throws TraceFormatException if it is broken
   * @throws IOException if the file system cannot be reached
   */
  public static Optional<TraceManifest> findManifest(Path folder, Configuration conf)
      throws IOException {
    Path file = new Path(folder, TraceManifest.FILE);
    FileSystem system = file.getFileSystem(conf);
    try (InputStream in = system.open(file)) {
      String json =
          StandardCharsets.UTF_8
              .newDecoder()
              .decode(java.nio.ByteBuffer.wrap(in.readAllBytes()))
              .toString();
      return Optional.of(TraceManifestParser.fromJson(json, display(file)));
    } catch (FileNotFoundException e) {
      return Optional.empty();
    } catch (CharacterCodingException e) {
      throw new TraceFormatException("Invalid JSON in %s: not UTF-8".formatted(display(file)), e);
    } catch (IOException e) {
      if (!system.exists(folder) || !system.getFileStatus(folder).isDirectory()) {
        return Optional.empty(); // some say other things of a file below a file
      }

      throw e;
    }
  }

  static boolean isLocal(Path path) {
    return "file".equals(path.toUri().getScheme());
  }

  /** A path as a user writes it: local ones without their scheme. */
  public static String display(Path path) {
    return isLocal(path) ? path.toUri().getPath() : path.toString();
  }

  /**
   * The file of a part.
   *
   * @throws TraceFormatException if it is missing
   */
  public static PartFile file(Path folder, String name, Configuration conf) {
    Path path = new Path(folder, name);
    try {
      if (isLocal(path)) {
        java.nio.file.Path local = java.nio.file.Path.of(path.toUri().getPath());
        if (!java.nio.file.Files.isRegularFile(local)) {
          throw new FileNotFoundException(local.toString());
        }

        return new PartFile(display(path), new LocalInputFile(local));
      }

      return new PartFile(display(path), HadoopInputFile.fromPath(path, conf));
    } catch (FileNotFoundException e) {
      throw DatasetPart.missing(display(path), e);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read %s: %s".formatted(display(path), e.getMessage()), e);
    }
  }

  /**
   * The row groups of a part, from its footer.
   *
   * @throws TraceFormatException if it is not what the manifest says
   */
  public static List<RowGroup> rowGroups(
      PartFile file, Part part, ModelShape shape, boolean weights) {
    DatasetPart.checkSize(file, part);
    try (ParquetFileReader reader =
        ParquetFileReader.open(
            file.input(),
            new ParquetReadOptions.Builder(new PlainParquetConfiguration()).build())) {
      DatasetPart.check(file, reader, DatasetSchema.of(shape, weights), part);
      List<RowGroup> groups = new ArrayList<>();
      for (BlockMetaData block : reader.getRowGroups()) {
        groups.add(
            new RowGroup(
                groups.size(),
                block.getRowCount(),
                bounds(block, DatasetSchema.SEQUENCE),
                bounds(block, DatasetSchema.POSITION)));
      }

      return groups;
    } catch (IOException | RuntimeException e) {
      throw DatasetPart.broken(file, e);
    }
  }

  private static Bounds bounds(BlockMetaData block, int column) {
    for (ColumnChunkMetaData chunk : block.getColumns()) {
      if (chunk.getPath().toDotString().equals(DatasetSchema.name(column))) {
        return Bounds.of(chunk.getStatistics());
      }
    }

    return Bounds.ANY;
  }
}
