package io.expertatlas.predictor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.predictor.SequenceSplit.Part;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SequenceSplitTest {
  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void everySequenceHasOnePartAndNoPartIsEmpty(long seed) {
    int count = 3 + new SplittableRandom(seed).nextInt(60);
    int[] ids = IntStream.range(0, count).map(i -> i * 7 - 20).toArray();
    SequenceSplit split = SequenceSplit.draw(ids, seed, 0.25, 0.15);
    long test = IntStream.of(ids).filter(id -> split.part(id) == Part.TEST).count();
    long validation = IntStream.of(ids).filter(id -> split.part(id) == Part.VALIDATION).count();
    assertThat(test).isEqualTo(split.test().length).isPositive();
    assertThat(validation).isEqualTo(split.validation().length).isPositive();
    assertThat(count - test - validation).isPositive();
    assertThat(SequenceSplit.draw(ids, seed, 0.25, 0.15)).isEqualTo(split);
  }

  @Test
  void anotherSeedHoldsOutOtherSequences() {
    int[] ids = IntStream.range(0, 40).toArray();
    assertThat(SequenceSplit.draw(ids, 1, 0.25, 0.15))
        .isNotEqualTo(SequenceSplit.draw(ids, 2, 0.25, 0.15));
  }

  @Test
  void refusesWhatCannotBeSplit() {
    assertThatThrownBy(() -> SequenceSplit.draw(new int[] {1, 2}, 1, 0.2, 0.2))
        .hasMessage("Cannot split 2 sequences into train, validation and test: at least 3");
    assertThatThrownBy(() -> SequenceSplit.draw(new int[] {1, 2, 3}, 1, 0.6, 0.4))
        .hasMessage("Invalid shares: test 0.6 and validation 0.4, each above 0, together below 1");
  }
}
