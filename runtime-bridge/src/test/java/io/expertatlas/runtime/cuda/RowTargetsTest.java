package io.expertatlas.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Rows by where they are added. */
class RowTargetsTest {
  @Test
  void rowsOfATargetStayInOrder() {
    RowTargets targets = RowTargets.of(new int[] {5, 0, 5, 2, 0, 5});
    assertThat(targets.targets()).containsExactly(0, 2, 5);
    assertThat(targets.starts()).containsExactly(0, 2, 3, 6);
    assertThat(targets.order()).containsExactly(1, 4, 3, 0, 2, 5);
  }

  @Test
  void walkingTheGroupsAddsEveryRowOnce() {
    SplittableRandom random = new SplittableRandom(3);
    int[] indices = random.ints(1000, 0, 70_000).toArray();
    RowTargets targets = RowTargets.of(indices);
    boolean[] seen = new boolean[indices.length];
    for (int b = 0; b < targets.targets().length; b++) {
      for (int n = targets.starts()[b]; n < targets.starts()[b + 1]; n++) {
        int row = targets.order()[n];
        assertThat(indices[row]).isEqualTo(targets.targets()[b]);
        assertThat(seen[row]).isFalse();
        seen[row] = true;
      }
    }

    assertThat(seen).doesNotContain(false);
  }
}
