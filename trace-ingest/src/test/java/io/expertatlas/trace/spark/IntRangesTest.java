package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class IntRangesTest {
  private static final int SPACE = 24;

  private static IntRanges ranges(TreeSet<Integer> values) {
    return IntRanges.ofValues(values.stream().mapToInt(Integer::intValue).toArray());
  }

  private static TreeSet<Integer> draw(SplittableRandom random) {
    TreeSet<Integer> values = new TreeSet<>();
    for (int i = random.nextInt(SPACE); i > 0; i--) {
      values.add(random.nextInt(SPACE));
    }

    return values;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void isASetOfInts(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    TreeSet<Integer> one = draw(random);
    TreeSet<Integer> two = draw(random);
    IntRanges first = ranges(one);
    IntRanges second = ranges(two);

    for (int value = -1; value <= SPACE; value++) {
      assertThat(first.contains(value)).isEqualTo(one.contains(value));
      assertThat(first.complement().contains(value)).isEqualTo(!one.contains(value));
      assertThat(first.union(second).contains(value))
          .isEqualTo(one.contains(value) || two.contains(value));
      assertThat(first.intersect(second).contains(value))
          .isEqualTo(one.contains(value) && two.contains(value));
      assertThat(first.overlaps(value, value + 2))
          .isEqualTo(!one.subSet(value, value + 3).isEmpty());
    }

    assertThat(first.complement().complement()).isEqualTo(first);
  }

  @Test
  void theEdgesOfIntHold() {
    IntRanges edges =
        IntRanges.ofValues(new int[] {Integer.MAX_VALUE, Integer.MIN_VALUE, Integer.MAX_VALUE});

    assertThat(edges.contains(Integer.MAX_VALUE)).isTrue();
    assertThat(edges.contains(Integer.MIN_VALUE)).isTrue();
    assertThat(edges.complement().contains(Integer.MAX_VALUE)).isFalse();
    assertThat(edges.complement().contains(0)).isTrue();
    assertThat(IntRanges.ALL.complement()).isEqualTo(IntRanges.NONE);
    assertThat(IntRanges.NONE.complement().isAll()).isTrue();
    assertThat(IntRanges.of(5, 4).isEmpty()).isTrue();
    assertThat(IntRanges.of(-9_999_999_999L, 7)).hasToString("..7");
    assertThat(IntRanges.ofValues(new int[] {1, 2, 3, 7}).union(IntRanges.of(9, 1L << 40)))
        .hasToString("1..3, 7, 9..");
    assertThat(IntRanges.NONE).hasToString("none");
  }
}
