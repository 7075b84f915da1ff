package io.expertatlas.affinity.arrow;

import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.RouteCounts;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The routes of each fold of the sequences, as affinity folders {@code folds/0}, {@code folds/1}
 * and so on in the affinity folder of the whole; see {@link AffinityFiles}. Stateless.
 */
public final class FoldFiles {
  private static final String FOLDS = "folds";

  private FoldFiles() {}

  /**
   * Writes those folds that have tokens, numbered anew, if there are at least two: fewer cannot be
   * told apart.
   *
   * @param folder exists and holds no folds
   * @throws IOException if they cannot be written
   */
  public static void writeInto(List<RouteCounts> folds, Path folder) throws IOException {
    List<RouteCounts> used = folds.stream().filter(fold -> fold.tokens() > 0).toList();
    if (used.size() < 2) {
      return;
    }

    Path all = Files.createDirectory(folder.resolve(FOLDS));
    for (int fold = 0; fold < used.size(); fold++) {
      AffinityFiles.writeInto(
          used.get(fold), Files.createDirectory(all.resolve(Integer.toString(fold))));
    }
  }

  /**
   * Reads the folds of an affinity folder; none if it has none.
   *
   * @param whole the counts of the folder
   * @throws AffinityFormatException if a fold is broken, or they do not sum to the whole
   * @throws UncheckedIOException if they cannot be read
   */
  public static List<RouteCounts> read(Path folder, RouteCounts whole) {
    List<RouteCounts> folds = new ArrayList<>();
    Path all = folder.resolve(FOLDS);
    long tokens = 0;
    for (Path fold = all.resolve("0");
        Files.isDirectory(fold);
        fold = all.resolve(Integer.toString(folds.size()))) {
      RouteCounts counts = AffinityFiles.read(fold);
      if (!counts.shape().equals(whole.shape())) {
        throw new AffinityFormatException(
            "Cannot read %s: it is of %s, the whole of %s"
                .formatted(fold, counts.shape(), whole.shape()));
      }

      folds.add(counts);
      tokens += counts.tokens();
    }

    if (!folds.isEmpty() && tokens != whole.tokens()) {
      throw new AffinityFormatException(
          "Cannot read %s: its %d folds hold %d tokens, the whole %d"
              .formatted(all, folds.size(), tokens, whole.tokens()));
    }

    return folds;
  }
}
