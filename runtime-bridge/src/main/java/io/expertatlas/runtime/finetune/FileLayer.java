package io.expertatlas.runtime.finetune;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** All that a training does to files, so that tests can stop it anywhere. */
interface FileLayer {
  /** The files of the machine. */
  FileLayer REAL =
      new FileLayer() {
        @Override
        public void createFolder(Path folder) throws IOException {
          Files.createDirectory(folder);
        }

        @Override
        public void write(Path file, Content content) throws IOException {
          try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file))) {
            content.writeTo(out);
          }
        }

        @Override
        public void rename(Path from, Path to) throws IOException {
          Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
        }

        @Override
        public void delete(Path path) throws IOException {
          Files.delete(path);
        }
      };

  /** What a file holds. */
  interface Content {
    void writeTo(OutputStream out) throws IOException;
  }

  /** Makes a folder. */
  void createFolder(Path folder) throws IOException;

  /** Writes a new file. */
  void write(Path file, Content content) throws IOException;

  /** Gives a file or folder another name; a file of that name is replaced. */
  void rename(Path from, Path to) throws IOException;

  /** Deletes a file or an empty folder. */
  void delete(Path path) throws IOException;
}
