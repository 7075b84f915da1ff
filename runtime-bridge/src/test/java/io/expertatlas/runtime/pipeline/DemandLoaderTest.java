package io.expertatlas.runtime.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class DemandLoaderTest {
  private static final int A = 0;
  private static final int B = 1;
  private static final int C = 2;
  private static final int D = 3;
  private static final int E = 4;

  @Test
  void theGoldenTraceCopiesTheMostUrgentFirst() {
    DemandLoader loader = new DemandLoader(5, 1);
    List<String> trace = new ArrayList<>();
    int running = -1;
    int begun = 0;
    for (int now = 0; now <= 8; now++) {
      if (now == 0) {
        loader.push(A, 2);
        loader.push(B, 2);
        loader.push(C, 2);
      } else if (now == 1) {
        loader.push(D, 1);
        loader.push(E, 0);
      } else if (now == 3) {
        loader.cancel(A, 2);
        loader.cancel(B, 2);
        loader.cancel(C, 2);
      }

      if (running >= 0 && now == begun + 2) {
        loader.completed(running);
        trace.add("abcde".charAt(running) + " [" + begun + "," + now + ")");
        running = -1;
      }

      if (running < 0) {
        running = loader.next();
        begun = now;
      }
    }

    assertThat(trace).containsExactly("a [0,2)", "e [2,4)", "d [4,6)");
    assertThat(running).isEqualTo(-1);
  }

  @Test
  void twoCopiesMayBeUnderWay() {
    DemandLoader loader = new DemandLoader(5, 2);
    loader.push(A, 2);
    loader.push(B, 2);
    loader.push(C, 2);
    assertThat(List.of(loader.next(), loader.next(), loader.next())).containsExactly(A, B, -1);
    assertThat(loader.outstanding()).isEqualTo(2);
    loader.completed(A);
    assertThat(loader.isResident(A)).isTrue();
    assertThat(loader.next()).isEqualTo(C);
  }

  @Test
  void aCopyUnderWayThatIsGivenUpArrivesAndMayBeEvictedUntilItIsWantedAgain() {
    DemandLoader loader = new DemandLoader(5, 1);
    loader.push(A, 1);
    assertThat(loader.next()).isEqualTo(A);
    loader.cancel(A);
    loader.cancel(A);
    assertThat(loader.isCopying(A)).isTrue();
    loader.completed(A);
    assertThat(loader.isResident(A)).isTrue();
    assertThat(loader.isEvictable(A)).isTrue();
    loader.push(A, 2);
    assertThat(loader.isEvictable(A)).isFalse();
    assertThat(loader.next()).isEqualTo(-1);
    assertThat(loader.drop(A)).isTrue();
    assertThat(loader.drop(A)).isFalse();
    assertThat(loader.isResident(A)).isFalse();
  }

  @Test
  void whatIsUnderWayIsNeitherDroppedNorCompletedTwice() {
    DemandLoader loader = new DemandLoader(5, 1);
    loader.push(A, 1);
    loader.next();
    assertThatThrownBy(() -> loader.drop(A))
        .hasMessage("Cannot drop block 0: its copy is under way");
    loader.completed(A);
    assertThatThrownBy(() -> loader.completed(A))
        .hasMessage("Cannot complete the copy of block 0: it is on DEVICE");
    assertThatThrownBy(() -> new DemandLoader(1, 0))
        .hasMessage("Invalid number of outstanding copies: 0, at least 1");
  }

  private record Entry(int block, int priority, long serial) {}

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void theQueueIsASortedList(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int blocks = 1 + random.nextInt(12);
    DemandQueue queue = new DemandQueue(blocks);
    List<Entry> twin = new ArrayList<>();
    for (long step = 0; step < 400; step++) {
      int block = random.nextInt(blocks);
      Optional<Entry> known = twin.stream().filter(entry -> entry.block() == block).findFirst();
      switch (random.nextInt(4)) {
        case 0, 1 -> {
          int priority = random.nextInt(DemandQueue.PRIORITIES);
          queue.push(block, priority);
          if (known.isEmpty() || known.get().priority() > priority) {
            known.ifPresent(twin::remove);
            twin.add(new Entry(block, priority, step));
          }
        }
        case 2 -> {
          queue.remove(block);
          known.ifPresent(twin::remove);
        }
        default -> {
          Optional<Entry> first =
              twin.stream()
                  .min(Comparator.comparingInt(Entry::priority).thenComparingLong(Entry::serial));
          assertThat(queue.poll()).isEqualTo(first.map(Entry::block).orElse(-1));
          first.ifPresent(twin::remove);
        }
      }

      assertThat(queue.priority(block))
          .isEqualTo(
              twin.stream()
                  .filter(entry -> entry.block() == block)
                  .map(Entry::priority)
                  .findFirst()
                  .orElse(-1));
    }
  }
}
