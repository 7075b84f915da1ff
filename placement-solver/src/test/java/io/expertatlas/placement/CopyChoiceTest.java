package io.expertatlas.placement;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class CopyChoiceTest {
  private static final Topology TWO_NODES = new Topology(2, 2);

  private static int gpu(int[] copies, int on, int sequence, int position) {
    Placement placement = Placement.ofCopies(TWO_NODES, new int[][][] {{copies}});
    return CopyChoice.gpu(placement, 0, 0, on, sequence, position);
  }

  @Test
  void takesTheCopyOfTheTokensGpuThenOneOfItsNodeThenAnyInTurn() {
    assertThat(gpu(new int[] {0, 1, 3}, 1, 5, 8)).isEqualTo(1);
    assertThat(gpu(new int[] {0, 1, 3}, 2, 5, 8)).isEqualTo(3);
    assertThat(gpu(new int[] {0, 1}, 2, 0, 0)).isZero();
    assertThat(gpu(new int[] {0, 1}, 2, 0, 1)).isEqualTo(1);
    assertThat(gpu(new int[] {0, 1}, 2, 1, 1)).isZero();
    assertThat(gpu(new int[] {0, 1}, 2, Integer.MAX_VALUE, 2)).isEqualTo(1);
    assertThat(gpu(new int[] {3}, 0, 7, 7)).isEqualTo(3);
  }

  @Test
  void copiesOnOneGpuEachHaveATurn() {
    assertThat(IntStream.range(0, 6).map(position -> gpu(new int[] {0, 1, 0}, 2, 0, position)))
        .containsExactly(0, 0, 1, 0, 0, 1);
  }

  @Test
  void costsOfPairsDecideWhatIsNear() {
    Topology ring =
        new Topology(1, 4)
            .withHopCosts(new int[][] {{0, 1, 5, 1}, {1, 0, 1, 5}, {5, 1, 0, 1}, {1, 5, 1, 0}});
    Placement placement = Placement.ofCopies(ring, new int[][][] {{{1, 2}}});

    assertThat(CopyChoice.gpu(placement, 0, 0, 0, 0, 1)).isEqualTo(1);
    assertThat(CopyChoice.gpu(placement, 0, 0, 3, 0, 0)).isEqualTo(2);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void isTheTurnOfAListOfTheNearest(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology = new Topology(random.nextInt(1, 4), random.nextInt(1, 5));
    int[] copies = random.ints(random.nextInt(1, 7), 0, topology.gpus()).toArray();
    Placement placement = Placement.ofCopies(topology, new int[][][] {{copies}});
    int sequence = random.nextInt(1000);
    for (int on = 0; on < topology.gpus(); on++) {
      int from = on;
      int[] uses = new int[topology.gpus()];
      List<Integer> sorted =
          IntStream.of(copies)
              .boxed()
              .sorted(
                  Comparator.<Integer>comparingInt(gpu -> topology.hopCost(from, gpu))
                      .thenComparingInt(gpu -> gpu))
              .toList();
      List<Integer> nearest =
          sorted.stream()
              .filter(gpu -> topology.hopCost(from, gpu) == topology.hopCost(from, sorted.get(0)))
              .toList();
      for (int position = 0; position < nearest.size(); position++) {
        int chosen = CopyChoice.gpu(placement, 0, 0, on, sequence, position);
        assertThat(chosen).isEqualTo(nearest.get((sequence + position) % nearest.size()));
        uses[chosen]++;
      }

      for (int gpu : nearest) { // equal shares
        assertThat(uses[gpu]).isEqualTo((int) nearest.stream().filter(n -> n == gpu).count());
      }
    }
  }
}
