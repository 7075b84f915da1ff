package io.expertatlas.trace.parquet;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifestParser;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.hadoop.util.HadoopOutputFile;
import org.apache.parquet.io.LocalOutputFile;
import org.apache.parquet.io.OutputFile;

/**
 * A dataset that is being written on any file system that Hadoop knows: filled in a folder beside
 * its place, then renamed. It appears complete or not at all; replacing an existing one takes two
 * renames. Not safe for several threads.
 */
public final class HadoopDatasetFolder {
  private static final Pattern FILES =
      Pattern.compile(Pattern.quote(TraceManifest.FILE) + "|part-\\d+\\.parquet");

  private final Path folder;
  private final Path aside;
  private final Path old;
  private final boolean overwrite;
  private final Configuration conf;
  private final FileSystem system;

  /**
   * Names the folders; nothing is written yet.
   *
   * @param folder the dataset to be
   * @param id of this write, which no other has
   * @param overwrite whether an existing dataset is replaced
   */
  public HadoopDatasetFolder(Path folder, String id, boolean overwrite, Configuration conf) {
    try {
      FileSystem found = folder.getFileSystem(conf);
      this.system = found instanceof LocalFileSystem local ? local.getRawFileSystem() : found;
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(
          "Cannot write %s: %s".formatted(folder, e.getMessage()), e);
    }

    this.folder = system.makeQualified(folder);
    if (this.folder.getParent() == null) {
      throw new IllegalArgumentException("Cannot write %s: it is a root".formatted(folder));
    }

    this.aside = new Path(this.folder.getParent(), ".%s.tmp-%s".formatted(folder.getName(), id));
    this.old = new Path(this.folder.getParent(), ".%s.old-%s".formatted(folder.getName(), id));
    this.overwrite = overwrite;
    this.conf = conf;
  }

  /** The folder that is filled. */
  public Path aside() {
    return aside;
  }

  /** A file to write, which does not exist yet. */
  public static OutputFile outputFile(Path file, Configuration conf) throws IOException {
    return HadoopDataset.isLocal(file)
        ? new LocalOutputFile(java.nio.file.Path.of(file.toUri().getPath())) // without .crc beside
        : HadoopOutputFile.fromPath(file, conf);
  }

  /** The name of a part. */
  public static String partName(int index) {
    return "part-%05d.parquet".formatted(index);
  }

  /**
   * Creates the folder beside.
   *
   * @throws IOException if the dataset exists and may not be replaced, or is none
   */
  public void begin() throws IOException {
    check();
    if (!system.mkdirs(aside)) {
      throw new IOException("Cannot create %s".formatted(HadoopDataset.display(aside)));
    }
  }

  private void check() throws IOException {
    String name = HadoopDataset.display(folder);
    if (!system.exists(folder)) {
      return;
    }

    if (!overwrite) {
      throw new IOException(
          "Cannot write %s: it exists already. Maybe use mode overwrite".formatted(name));
    }

    if (!system.getFileStatus(folder).isDirectory()) {
      throw new IOException("Cannot overwrite %s: it is not a folder".formatted(name));
    }

    for (FileStatus status : system.listStatus(folder)) {
      if (!FILES.matcher(status.getPath().getName()).matches()) {
        throw new IOException(
            "Cannot overwrite %s: it holds %s, which no routing-trace dataset has"
                .formatted(name, status.getPath().getName()));
      }
    }
  }

  /** Takes a file of the folder beside as a part. */
  public void accept(String file, String partName) throws IOException {
    rename(new Path(aside, file), new Path(aside, partName));
  }

  /** Writes the only part of an empty dataset: no rows, but columns. */
  public Part writeEmptyPart(ModelShape shape, boolean weights) throws IOException {
    Path file = new Path(aside, partName(0));
    try (DatasetPartWriter writer =
        new DatasetPartWriter(outputFile(file, conf), shape, weights, Integer.MAX_VALUE)) {
      return writer.finish(partName(0));
    }
  }

  /**
   * Drops what is no part, writes the manifest and gives the folder its name.
   *
   * @throws IOException if the place was taken meanwhile, or the file system fails
   */
  public void commit(TraceManifest manifest) throws IOException {
    for (FileStatus status : system.listStatus(aside)) {
      String name = status.getPath().getName();
      if (manifest.parts().stream().noneMatch(part -> part.file().equals(name))) {
        system.delete(status.getPath(), true /* recursive */);
      }
    }

    try (OutputStream out = system.create(new Path(aside, TraceManifest.FILE))) {
      out.write(TraceManifestParser.toJson(manifest).getBytes(StandardCharsets.UTF_8));
    }

    check();
    boolean replace = system.exists(folder);
    if (replace) {
      rename(folder, old);
    }

    try {
      rename(aside, folder);
    } catch (IOException e) {
      if (replace) {
        rename(old, folder);
      }

      throw e;
    }

    if (replace) {
      system.delete(old, true /* recursive */);
    }
  }

  private void rename(Path from, Path to) throws IOException {
    if (!system.rename(from, to)) {
      throw new IOException(
          "Cannot rename %s to %s"
              .formatted(HadoopDataset.display(from), HadoopDataset.display(to)));
    }
  }

  /** Deletes what was written; an existing dataset stays. */
  public void abort() throws IOException {
    system.delete(aside, true /* recursive */);
  }
}
