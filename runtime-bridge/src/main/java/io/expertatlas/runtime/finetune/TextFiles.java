package io.expertatlas.runtime.finetune;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;

/** Files of text as token ids, a document each. */
public final class TextFiles {
  private TextFiles() {}

  /**
   * Reads documents, in order of the paths given, those of a folder in order of their path.
   *
   * @param paths UTF-8 files, and folders of such
   * @param encode ids of a text, with the token that begins one
   * @param end the token that ends a document; negative: none
   * @throws IOException if a file cannot be read or is not UTF-8
   */
  public static List<int[]> read(List<Path> paths, Function<String, int[]> encode, int end)
      throws IOException {
    List<int[]> documents = new ArrayList<>();
    for (Path path : paths) {
      for (Path file : files(path)) {
        int[] ids = encode.apply(text(file));
        if (end >= 0) {
          ids = Arrays.copyOf(ids, ids.length + 1);
          ids[ids.length - 1] = end;
        }

        documents.add(ids);
      }
    }

    return documents;
  }

  private static List<Path> files(Path path) throws IOException {
    if (!Files.isDirectory(path)) {
      return List.of(path);
    }

    try (Stream<Path> inside = Files.walk(path)) {
      return inside.filter(Files::isRegularFile).sorted().toList();
    }
  }

  private static String text(Path file) throws IOException {
    try {
      return Files.readString(file);
    } catch (CharacterCodingException e) {
      throw new IOException("Cannot read text %s: it is not UTF-8".formatted(file), e);
    }
  }
}
