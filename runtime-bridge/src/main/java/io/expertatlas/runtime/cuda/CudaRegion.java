package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import io.expertatlas.runtime.cuda.CudaHeap.Range;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.TimeUnit;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * A region of a GPU's memory that one computing stream and a thread that loads share. What is given
 * up is free for the computing stream at once, in its order; for loads, which another stream does,
 * when the computing stream has come that far. Safe for several threads, in the GPU's context.
 *
 * <p>The driver is asked how far streams have come when that matters: before each load for all that
 * was given up, else when something is given up, about few, and when there is no room.
 */
final class CudaRegion {
  /** A load that waits for room longer than this, with enough free but in pieces, fails. */
  private static final long PATIENCE_NANOS = TimeUnit.MINUTES.toNanos(10);

  /** Bytes given back that get an event together: each keeps the stream for microseconds. */
  private static final long TOGETHER = 64L << 20;

  /** So many times of giving back are not asked about before a load asks. */
  private static final int UNASKED = 16;

  private final CUstream compute;
  private final Events events;
  private final Address memory = new Address();
  private final CudaHeap heap;
  private final String device;
  private final Deque<Pending> freed = new ArrayDeque<>(); // holes that are not safe for loads
  private List<Range> given = new ArrayList<>(); // such ones that no event is behind yet
  private long givenBytes;
  private final Deque<Pending> stored = new ArrayDeque<>(); // taken until they are copied
  private long changes; // times that something was given back
  private boolean closed;

  /** Ranges that wait for an event. */
  private static final class Pending {
    final CUevent event;
    final List<Range> ranges;
    int waiting; // threads
    boolean hasPassed;

    Pending(CUevent event, List<Range> ranges) {
      this.event = event;
      this.ranges = ranges;
    }
  }

  /** Takes so many bytes of the current context's GPU. */
  CudaRegion(String device, long bytes, CUstream compute, Events events) {
    this.device = device;
    this.events = events;
    this.compute = compute;
    this.heap = new CudaHeap(bytes);
    check(
        JCudaDriver.cuMemAlloc(memory, Math.max(1, bytes)),
        "allocating %d bytes of %s".formatted(bytes, device));
  }

  Address pointer(long offset) {
    return memory.withByteOffset(offset);
  }

  long address(long offset) {
    return memory.value() + offset;
  }

  /**
   * Takes a range for the computing stream, maybe waiting for stores.
   *
   * @param isLasting whether it stays long: such ones lie at the high end
   * @throws IllegalStateException if there is no room and no store under way that would give some
   */
  long take(long bytes, boolean isLasting) {
    while (true) {
      Pending oldest;
      synchronized (this) {
        long offset = find(bytes, isLasting);
        if (offset < 0) { // all else that was given up is free for this stream
          retireStored();
          offset = find(bytes, isLasting);
        }

        if (offset >= 0) {
          return offset;
        }

        oldest = stored.peek();
        if (oldest == null) {
          throw new IllegalStateException(
              "Cannot hold %,d bytes more on %s: %,d of %,d are free, at most %,d together"
                  .formatted(bytes, device, heap.freeBytes(), heap.bytes(), heap.largestHole()));
        }

        oldest.waiting++;
      }

      await(oldest);
    }
  }

  private long find(long bytes, boolean isLasting) {
    return isLasting ? heap.takeHigh(bytes, List.of()) : heap.takeLow(bytes);
  }

  /**
   * Takes a range that another stream than the computing one may write to at once; waits until
   * there is one.
   *
   * @throws IllegalStateException if the region is smaller, or nothing was given back for long
   *     though enough is free, in pieces
   */
  long takeForLoad(long bytes) throws InterruptedException {
    if (CudaHeap.whole(bytes) > heap.bytes()) {
      throw new IllegalStateException(
          "Cannot load %,d bytes to %s: it has %,d".formatted(bytes, device, heap.bytes()));
    }

    while (true) {
      Pending oldest;
      synchronized (this) {
        if (closed) {
          throw new IllegalStateException("Cannot load to %s: it is closed".formatted(device));
        }

        poll();
        long offset = heap.takeHigh(bytes, unsafe());
        if (offset >= 0) {
          return offset;
        }

        mark();
        oldest = freed.isEmpty() ? stored.peek() : freed.peek();
        if (oldest == null) {
          awaitChange(bytes);
          continue;
        }

        oldest.waiting++;
      }

      await(oldest);
      if (Thread.interrupted()) {
        throw new InterruptedException();
      }
    }
  }

  /** Waits until something is given back. */
  private void awaitChange(long bytes) throws InterruptedException {
    long before = changes;
    long deadline = System.nanoTime() + PATIENCE_NANOS;
    while (changes == before) {
      long left = deadline - System.nanoTime();
      if (left <= 0 && heap.freeBytes() >= bytes) {
        throw new IllegalStateException(
            "Cannot load %,d bytes to %s: %,d of %,d are free, but at most %,d together"
                .formatted(bytes, device, heap.freeBytes(), heap.bytes(), heap.largestHole()));
      }

      TimeUnit.NANOSECONDS.timedWait(this, Math.max(left, TimeUnit.SECONDS.toNanos(1)));
    }
  }

  private List<Range> unsafe() {
    List<Range> ranges = new ArrayList<>(given);
    freed.forEach(pending -> ranges.addAll(pending.ranges));
    return ranges;
  }

  /** Gives ranges back behind what the computing stream was asked for. */
  synchronized void give(List<Long> offsets) {
    if (closed || offsets.isEmpty()) {
      return;
    }

    for (long offset : offsets) {
      Range range = heap.give(offset);
      given.add(range);
      givenBytes += range.bytes();
    }

    if (givenBytes >= TOGETHER) {
      mark();
    }

    retireFreed(UNASKED);
    retireStored();
    changed();
  }

  /** Lets the computing stream say when it is done with what was given back so far. */
  private void mark() {
    if (!given.isEmpty()) {
      freed.add(new Pending(events.record(compute), given));
      given = new ArrayList<>();
      givenBytes = 0;
    }
  }

  private void changed() {
    changes++;
    notifyAll();
  }

  /** Gives ranges back when an event has passed. */
  synchronized void giveAfter(CUevent event, List<Long> offsets) {
    List<Range> ranges = offsets.stream().map(offset -> new Range(offset, 0)).toList();
    stored.add(new Pending(event, ranges)); // the heap knows how long they are
    retireStored();
    changed();
  }

  /** Notices all that has passed. */
  synchronized void poll() {
    retireFreed(0);
    retireStored();
  }

  /** Notices which holes are safe for loads while more than so many wait. */
  private void retireFreed(int waiting) {
    while (freed.size() > waiting && Events.hasPassed(freed.peek().event)) { // they do in order
      retire(freed.remove());
    }
  }

  /** Notices what has been copied. */
  private void retireStored() {
    while (!stored.isEmpty() && Events.hasPassed(stored.peek().event)) {
      Pending pending = stored.remove();
      pending.ranges.forEach(range -> heap.give(range.offset()));
      retire(pending);
      changed();
    }
  }

  private void retire(Pending pending) {
    pending.hasPassed = true;
    if (pending.waiting == 0) {
      events.giveBack(pending.event);
    }
  }

  private void await(Pending pending) {
    Events.await(pending.event);
    synchronized (this) {
      pending.waiting--;
      if (pending.waiting == 0 && pending.hasPassed) {
        events.giveBack(pending.event);
      }
    }
  }

  synchronized long peakBytes() {
    return heap.peakBytes();
  }

  /** Frees everything; its streams must be idle. Who waits for room fails. */
  synchronized void close() {
    poll();
    closed = true;
    changed();
    JCudaDriver.cuMemFree(memory);
  }
}
