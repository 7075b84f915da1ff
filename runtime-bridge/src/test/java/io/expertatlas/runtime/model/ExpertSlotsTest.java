package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.runtime.HostCopy;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Offload.Eviction;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class ExpertSlotsTest {
  private static final long BYTES = 10;
  private static final long[] WHOLE = {BYTES}; // an expert is one piece

  /** A link with a clock: copies follow each other and take the same time; waiting moves it. */
  private static final class FakeLink implements ExpertSlots.Link {
    private final int pieces;
    private final long pieceTime;
    private final int[] content; // [slot]: the whole expert in it, or -1
    private final int[] partly; // [slot]: pieces that are there or under way
    private final List<Flight> flights = new ArrayList<>();
    private final List<String> begun = new ArrayList<>();
    private boolean hasSpare; // more pieces may be under way, while the CPU computes
    private long now;
    private long free;

    FakeLink(int slots, long copyTime) {
      this(slots, 1, copyTime);
    }

    FakeLink(int slots, int pieces, long pieceTime) {
      this.pieces = pieces;
      this.pieceTime = pieceTime;
      this.partly = new int[slots];
      this.content = new int[slots];
      Arrays.fill(content, -1);
    }

    private final class Flight implements HostCopy {
      private final long end;
      private final boolean isAhead;
      private boolean joined;
      private boolean closed;

      Flight(long end, boolean isAhead) {
        this.end = end;
        this.isAhead = isAhead;
      }

      @Override
      public void join() {
        assertThat(closed).isFalse();
        joined = true;
      }

      @Override
      public boolean isDone() {
        return end <= now;
      }

      @Override
      public void await() {
        now = Math.max(now, end);
      }

      @Override
      public void close() {
        closed = true;
      }
    }

    @Override
    public HostCopy begin(int expert, int slot, int from, int to, boolean isAhead) {
      List<Flight> flying = flights.stream().filter(flight -> !flight.isDone()).toList();
      assertThat(from).isEqualTo(from == 0 ? 0 : partly[slot]);
      if (isAhead && to < pieces && !hasSpare) { // else it may be the rest of a needed expert
        assertThat(flying.stream().filter(flight -> flight.isAhead).count()).isLessThan(2);
      }

      partly[slot] = to;
      content[slot] = to == pieces ? expert : -1;
      begun.add(
          (isAhead ? "ahead " : "")
              + expert
              + (to - from < pieces ? " pieces %d-%d".formatted(from, to - 1) : "")
              + " to %d at %d".formatted(slot, now));
      free = Math.max(free, now) + (to - from) * pieceTime;
      flights.add(new Flight(free, isAhead));
      return flights.get(flights.size() - 1);
    }
  }

  private static int[] ints(int... values) {
    return values;
  }

  @Test
  void whatWasForetoldCountsOnlyIfItsCopyHadBegun() {
    FakeLink link = new FakeLink(4, 10);
    ExpertSlots slots = new ExpertSlots(8, WHOLE, new Offload(4, Eviction.LRU), link);
    slots.need(ints(0), ints(1, 2));
    slots.foretell(ints(1, 2)); // 1 goes behind 0; 2 waits, as 1 is under way
    assertThat(link.begun).containsExactly("0 to 0 at 0", "ahead 1 to 1 at 0");
    assertThat(slots.isWaiting()).isTrue();
    link.now = 5;
    slots.need(ints(1, 2), ints()); // 1 is under way; 2 had not begun and is loaded

    assertThat(link.begun).last().isEqualTo("2 to 2 at 10"); // two were under way
    assertThat(slots.use()).isEqualTo(new Offload.Use(0, 1, 0, 2, 0, 3 * BYTES, 0));
    link.now = 100;
    slots.foretell(ints(5));
    link.now = 110;
    slots.need(ints(5, 1), ints());
    assertThat(slots.use()).isEqualTo(new Offload.Use(1, 2, 1, 2, 0, 4 * BYTES, 0));
  }

  @Test
  void aRealNeedWaitsForOneWrongCopyAtMost() {
    FakeLink link = new FakeLink(6, 10);
    ExpertSlots slots = new ExpertSlots(9, WHOLE, new Offload(6, Eviction.LRU), link);
    slots.need(ints(0), ints(1, 2, 3));
    slots.foretell(ints(1, 2, 3));
    link.now = 10;
    slots.pump(); // 1 runs, 2 must not be queued behind it
    link.now = 12;
    slots.need(ints(7), ints());

    assertThat(link.begun).containsExactly("0 to 0 at 0", "ahead 1 to 1 at 0", "7 to 2 at 12");
    assertThat(link.free).isEqualTo(30); // behind 1, which ends at 20
    link.now = 30;
    slots.pump(); // 2 and 3 were given up
    assertThat(link.begun).hasSize(3);
  }

  @Test
  void aForetoldExpertNeverTakesASlotThatTheLayerAtWorkOrTheNextOneNeeds() {
    FakeLink link = new FakeLink(3, 0);
    ExpertSlots slots = new ExpertSlots(9, WHOLE, new Offload(3, Eviction.LRU), link);
    slots.need(ints(4, 0, 1), ints());
    slots.foretell(ints(7, 8)); // all slots are needed
    assertThat(link.begun).hasSize(3);
    slots.need(ints(0), ints(4, 7, 8)); // 4 is there and stays: 7 takes the slot of 1
    slots.foretell(ints(4, 7, 8));

    assertThat(link.begun).last().isEqualTo("ahead 7 to 2 at 0");
    assertThat(link.content).containsExactly(4, 0, 7);
  }

  @Test
  void aForetoldCopyThatLeavesUnneededIsWasted() {
    FakeLink link = new FakeLink(2, 0);
    ExpertSlots slots = new ExpertSlots(9, WHOLE, new Offload(2, Eviction.LRU), link);
    slots.need(ints(0), ints(1));
    slots.foretell(ints(1));
    slots.need(ints(2), ints());

    assertThat(slots.use()).isEqualTo(new Offload.Use(0, 0, 0, 2, 1, 3 * BYTES, 0));
  }

  @Test
  void ifAllOtherSlotsAreNeededTheOneOfAWrongCopyIsWaitedFor() {
    FakeLink link = new FakeLink(2, 10);
    ExpertSlots slots = new ExpertSlots(9, WHOLE, new Offload(2, Eviction.LRU), link);
    slots.need(ints(0), ints(1));
    slots.foretell(ints(1));
    link.now = 11;
    slots.need(ints(0, 2), ints());

    assertThat(link.begun).last().isEqualTo("2 to 1 at 20");
    assertThat(slots.use()).isEqualTo(new Offload.Use(1, 0, 0, 2, 1, 3 * BYTES, 0));
  }

  @Test
  void piecesOfAWrongExpertAreGivenUpAndThoseOfAWantedOneComeFirst() {
    FakeLink link = new FakeLink(4, 5, 10);
    long[] pieces = {1, 2, 3, 4, 5};
    ExpertSlots slots = new ExpertSlots(9, pieces, new Offload(4, Eviction.LRU), link);
    slots.need(ints(0), ints(1, 2));
    slots.foretell(ints(1, 2)); // two pieces go behind 0, which ends at 50
    link.now = 60;
    slots.pump(); // one is there, another may go
    slots.need(ints(7), ints(2));
    slots.foretell(ints(2));

    assertThat(slots.slot(1)).isEqualTo(-1);
    assertThat(link.begun)
        .containsExactly(
            "0 to 0 at 0",
            "ahead 1 pieces 0-0 to 1 at 0",
            "ahead 1 pieces 1-1 to 1 at 0",
            "ahead 1 pieces 2-2 to 1 at 60",
            "7 to 1 at 60"); // behind two pieces
    assertThat(link.free).isEqualTo(80 + 50);
    link.now = 80;
    slots.pump(); // the two are done
    slots.need(ints(2, 8), ints());
    assertThat(link.begun.subList(5, link.begun.size()))
        .containsExactly(
            "ahead 2 pieces 0-0 to 2 at 80",
            "ahead 2 pieces 1-1 to 2 at 80",
            "ahead 2 pieces 2-4 to 2 at 80",
            "8 to 3 at 130"); // two were under way
    assertThat(slots.use()).isEqualTo(new Offload.Use(0, 1, 0, 3, 1, 3 * 15 + 6 + 15, 0));
  }

  @Test
  void anExpertOfTheCpuComesToTheSlotOfOneThatIsUsedLessOftenAsTheLinkHasTime() {
    FakeLink link = new FakeLink(2, 4, 10);
    link.hasSpare = true;
    long[] pieces = {1, 2, 3, 4};
    ExpertSlots slots = new ExpertSlots(9, pieces, new Offload(2, Eviction.POPULARITY), link);
    slots.need(ints(0, 1), ints());
    link.now = 100;
    slots.need(ints(1), ints());
    slots.compute(ints(7)); // as often as 0, which is older
    slots.admit(ints(7), 3);
    assertThat(link.begun).hasSize(2);
    slots.need(ints(), ints());
    slots.compute(ints(5, 7));
    slots.admit(ints(5, 7), 0); // no time
    assertThat(slots.slot(0)).isZero();
    slots.need(ints(), ints());
    slots.compute(ints(5));
    slots.admit(ints(5), 3); // twice, 0 once
    assertThat(link.begun.subList(2, link.begun.size()))
        .containsExactly(
            "ahead 5 pieces 0-0 to 0 at 100",
            "ahead 5 pieces 1-1 to 0 at 100",
            "ahead 5 pieces 2-2 to 0 at 100");
    assertThat(slots.slot(0)).isEqualTo(-1);
    assertThat(slots.free()).isZero();

    link.now = 200;
    slots.settle();
    assertThat(slots.slot(5)).isEqualTo(-1); // a piece is not there yet
    slots.need(ints(1), ints());
    slots.compute(ints(7));
    slots.admit(ints(7), 9); // 5 first
    assertThat(link.begun).last().isEqualTo("ahead 5 pieces 3-3 to 0 at 200");
    slots.settle();
    assertThat(slots.slot(5)).isEqualTo(-1);
    link.now = 210;
    slots.settle();
    assertThat(slots.slot(5)).isZero();
    slots.need(ints(5), ints());
    assertThat(slots.use()).isEqualTo(new Offload.Use(3, 0, 0, 2, 0, 30, 5));
  }

  @Test
  void anExpertOnItsWayBesideTheCpuGivesItsSlotUpWhereAllOthersAreNeeded() {
    FakeLink link = new FakeLink(2, 2, 10);
    ExpertSlots slots = new ExpertSlots(9, new long[] {1, 1}, new Offload(2, Eviction.LRU), link);
    slots.need(ints(0, 1), ints());
    link.now = 100;
    slots.need(ints(), ints());
    slots.compute(ints(5));
    slots.admit(ints(5), 1);
    slots.settle();
    slots.need(ints(1, 2), ints());

    assertThat(link.begun)
        .containsExactly(
            "0 to 0 at 0", "1 to 1 at 0", "ahead 5 pieces 0-0 to 0 at 100", "2 to 0 at 100");
    link.now = 300;
    slots.settle();
    assertThat(slots.slot(5)).isEqualTo(-1);
    assertThat(slots.use()).isEqualTo(new Offload.Use(1, 0, 0, 3, 0, 7, 1));
  }

  @Test
  void whileTheCpuComputesMoreOfAForetoldExpertIsCopied() {
    FakeLink link = new FakeLink(3, 5, 10);
    link.hasSpare = true;
    ExpertSlots slots =
        new ExpertSlots(9, new long[] {1, 1, 1, 1, 1}, new Offload(3, Eviction.LRU), link);
    slots.need(ints(0), ints(4));
    slots.foretell(ints(4));
    slots.compute(ints(2));
    slots.admit(ints(2), 2);

    assertThat(link.begun)
        .containsExactly(
            "0 to 0 at 0",
            "ahead 4 pieces 0-0 to 1 at 0",
            "ahead 4 pieces 1-1 to 1 at 0",
            "ahead 4 pieces 2-2 to 1 at 0",
            "ahead 4 pieces 3-3 to 1 at 0");
    assertThat(slots.left(4)).isEqualTo(1);
    link.now = 65;
    slots.settle();
    slots.pump();
    slots.need(ints(4), ints());
    assertThat(slots.left(4)).isEqualTo(0.8); // one of five is there
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void walksAsTheSlowTwinDoes(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int layers = random.nextInt(1, 6);
    int experts = random.nextInt(1, 9);
    int slots = random.nextInt(1, layers * experts + 2);
    int pieces = random.nextInt(1, 5);
    long pieceTime = random.nextInt(0, 4);
    long[] pieceBytes = new long[pieces];
    Arrays.fill(pieceBytes, BYTES);
    Offload offload = new Offload(slots, Eviction.values()[random.nextInt(2)]);
    int onCpu = random.nextInt(3); // none, some, all of the missing ones
    FakeLink link = new FakeLink(slots, pieces, pieceTime);
    link.hasSpare = onCpu > 0;
    ExpertSlots fast = new ExpertSlots(layers * experts, pieceBytes, offload, link);
    SlowExpertSlots slow = new SlowExpertSlots(offload, pieces, pieceTime);
    long count = 0;
    for (int turn = 0; turn < 60; turn++) {
      int first = turn % layers * experts;
      int behind = (turn + 1) % layers * experts;
      int[] all = draw(random, first, experts, Math.min(experts, slots));
      int[] next = draw(random, behind, experts, experts);
      fast.settle();
      slow.settle();
      assertThat(fast.free()).isEqualTo(slow.free());
      for (int expert : all) {
        assertThat(fast.slot(expert)).isEqualTo(slow.slot(expert));
        assertThat(fast.left(expert)).isEqualTo(slow.left(expert));
      }

      int[] computed =
          Arrays.stream(all)
              .filter(expert -> fast.slot(expert) < 0 && random.nextInt(2) < onCpu)
              .toArray();
      int[] needed =
          Arrays.stream(all)
              .filter(expert -> Arrays.stream(computed).noneMatch(one -> one == expert))
              .toArray();
      fast.need(needed, next);
      slow.need(list(needed), list(next));
      count += all.length;
      assertThat(link.now).isEqualTo(slow.now);
      for (int expert : needed) { // they are there, or on their way and waited for
        assertThat(link.content[fast.slot(expert)]).isEqualTo(expert);
      }

      if (random.nextInt(4) > 0) { // else the layer took several sets
        fast.foretell(next);
        slow.foretell(list(next));
      }

      if (computed.length > 0) {
        int sparePieces = random.nextInt(pieces + 2);
        fast.compute(computed);
        slow.compute(list(computed));
        fast.admit(computed, sparePieces);
        slow.admit(list(computed), sparePieces);
      }

      for (int pumps = random.nextInt(4); pumps > 0; pumps--) {
        long pause = random.nextInt(6);
        link.now += pause;
        slow.now += pause;
        fast.pump();
        slow.pump();
      }

      for (int expert : needed) { // no foretold one took their places
        assertThat(link.content[fast.slot(expert)]).isEqualTo(expert);
      }

      for (int expert = 0; expert < layers * experts; expert++) {
        assertThat(fast.slot(expert)).isEqualTo(slow.slot(expert));
      }

      assertThat(fast.use()).isEqualTo(slow.use(BYTES));
      assertThat(fast.use().needed()).isEqualTo(count);
    }
  }

  @Test
  void operationsWaitForWhatIsStillUnderWay() {
    FakeLink link = new FakeLink(3, 10);
    ExpertSlots slots = new ExpertSlots(5, WHOLE, new Offload(3, Eviction.LRU), link);
    slots.need(ints(0), ints(1));
    slots.foretell(ints(1));
    link.now = 15;
    slots.need(ints(1, 2), ints());
    slots.foretell(ints(3));
    slots.join();

    assertThat(link.flights.get(0).closed).isTrue(); // 0 was there
    assertThat(link.flights.get(0).joined).isFalse();
    assertThat(link.flights.get(1).joined).isTrue(); // 1 is under way
    assertThat(link.flights.get(2).joined).isTrue(); // 2 behind it
    link.now = 20;
    slots.pump();
    slots.join();
    assertThat(link.begun).last().isEqualTo("ahead 3 to 0 at 20");
    assertThat(link.flights.get(3).joined).isFalse(); // it is not needed yet
    assertThat(link.flights.get(1).closed).isTrue();
  }

  /** Routes that are foretold as they come need no load but the first, if two layers fit. */
  @ParameterizedTest
  @CsvSource({"LRU, 1", "LRU, 7", "POPULARITY, 1", "POPULARITY, 7"})
  void anOracleNeedsNoLoadsWhereTwoLayersFit(Eviction eviction, int layers) {
    int experts = 8;
    SplittableRandom random = new SplittableRandom(layers);
    ExpertSlots slots =
        new ExpertSlots(layers * experts, WHOLE, new Offload(6, eviction), new FakeLink(6, 0));
    int[] needed = draw(random, 0, experts, 3);
    int first = needed.length;
    for (int turn = 1; turn < 200; turn++) {
      int[] next = draw(random, turn % layers * experts, experts, 3);
      slots.need(needed, next);
      slots.foretell(next);
      needed = next;
    }

    assertThat(slots.use().loads()).isEqualTo(first);
    assertThat(slots.use().foretold()).isPositive().isEqualTo(slots.use().arrived());
    assertThat(slots.use().wasted()).isZero();
  }

  /** One to so many different experts of a layer, in any order. */
  private static int[] draw(SplittableRandom random, int first, int experts, int most) {
    int count = random.nextInt(1, most + 1);
    List<Integer> left = new ArrayList<>(IntStream.range(first, first + experts).boxed().toList());
    return IntStream.range(0, count).map(i -> left.remove(random.nextInt(left.size()))).toArray();
  }

  private static List<Integer> list(int[] values) {
    return Arrays.stream(values).boxed().toList();
  }
}
