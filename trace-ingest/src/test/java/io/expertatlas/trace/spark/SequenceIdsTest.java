package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import java.util.TreeSet;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SequenceIdsTest {
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void idsAreCountedAsASetCounts(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    SequenceIds ids = new SequenceIds();
    TreeSet<Integer> twin = new TreeSet<>();
    int count = random.nextInt(2000);
    int bound = 1 + random.nextInt(1500);
    for (int i = 0; i < count; i++) {
      int id = random.nextInt(bound);
      ids.add(id);
      twin.add(id);
      if (random.nextInt(500) == 0) {
        assertThat(ids.size()).isEqualTo(twin.size());
      }
    }

    SequenceIds all = new SequenceIds();
    all.add(5);
    all.addAll(ids);
    assertThat(ids.max()).isEqualTo(twin.isEmpty() ? -1 : twin.last());
    twin.add(5);
    assertThat(all.size()).isEqualTo(twin.size());
  }
}
