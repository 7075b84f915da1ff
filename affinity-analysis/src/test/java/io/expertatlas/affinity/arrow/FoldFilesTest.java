package io.expertatlas.affinity.arrow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.affinity.AffinityCases;
import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.CountsMixture;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FoldFilesTest {
  private static final RoutingTrace TRACE =
      SyntheticTrace.draw(new ModelShape(3, 6, 2), 90, 9, 0.2, 1);
  @TempDir private Path home;

  private static List<RouteCounts> folds(int... of) {
    List<RouteCounts> folds = new ArrayList<>();
    for (int own : of) {
      folds.add(AffinityCases.count(TRACE.select(t -> t % 3 == own)));
    }

    return folds;
  }

  @Test
  void foldsWithTokensAreReadAsWritten() throws IOException {
    List<RouteCounts> folds = folds(0, 7, 1, 2);

    FoldFiles.writeInto(folds, home);

    assertThat(FoldFiles.read(home, AffinityCases.count(TRACE)))
        .containsExactly(folds.get(0), folds.get(2), folds.get(3));
  }

  @Test
  void fewerThanTwoAreNotWritten() throws IOException {
    FoldFiles.writeInto(folds(7, 0), home);
    FoldFiles.writeInto(List.of(), home);

    assertThat(home).isEmptyDirectory();
    assertThat(FoldFiles.read(home, AffinityCases.count(TRACE))).isEmpty();
  }

  @Test
  void foldsOfAnotherWholeAreRefused() throws IOException {
    FoldFiles.writeInto(folds(0, 1), home);

    assertThatThrownBy(() -> FoldFiles.read(home, AffinityCases.count(TRACE)))
        .isInstanceOf(AffinityFormatException.class)
        .hasMessage(
            "Cannot read %s: its 2 folds hold 60 tokens, the whole 90"
                .formatted(home.resolve("folds")));
    RouteCounts other =
        AffinityCases.count(SyntheticTrace.draw(new ModelShape(2, 6, 2), 60, 9, 0.2, 1));
    assertThatThrownBy(() -> FoldFiles.read(home, other))
        .hasMessageContaining("Cannot read " + home.resolve("folds").resolve("0"));
    Files.delete(home.resolve("folds/1/popularity.arrow"));
    assertThatThrownBy(() -> FoldFiles.read(home, CountsMixture.sum(folds(0, 1))))
        .hasMessageContaining(home.resolve("folds/1/popularity.arrow") + ": no such file");
  }
}
