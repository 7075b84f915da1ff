package io.expertatlas.runtime.cuda;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Which ranges of a region are taken: first fit from the low or the high end, in units of {@value
 * #UNIT} bytes; neighbouring holes become one. The same calls give the same ranges. Deals with
 * offsets only. Not safe for several threads.
 */
final class CudaHeap {
  /** Ranges start at multiples of this. */
  static final long UNIT = 256;

  private final TreeMap<Long, Long> holes = new TreeMap<>(); // offset -> bytes
  private final Map<Long, Long> taken = new HashMap<>(); // offset -> bytes
  private final long bytes;
  private long free;
  private long peak;

  /** Bytes from an offset on. */
  record Range(long offset, long bytes) {
    long end() {
      return offset + bytes;
    }
  }

  /** All free, whole units of so many bytes. */
  CudaHeap(long bytes) {
    this.bytes = bytes / UNIT * UNIT;
    this.free = this.bytes;
    if (free > 0) {
      holes.put(0L, free);
    }
  }

  /** Bytes rounded up to units. */
  static long whole(long bytes) {
    return (bytes + UNIT - 1) / UNIT * UNIT;
  }

  /** Takes the lowest range that is large enough; -1 if there is none. */
  long takeLow(long wanted) {
    long size = whole(wanted);
    for (Map.Entry<Long, Long> hole : holes.entrySet()) {
      if (hole.getValue() >= size) {
        return take(hole.getKey(), hole.getValue(), hole.getKey(), size);
      }
    }

    return -1;
  }

  /**
   * Takes the highest range that is large enough and touches none that must be kept clear of; -1 if
   * there is none.
   */
  long takeHigh(long wanted, List<Range> clearOf) {
    long size = whole(wanted);
    TreeMap<Long, Long> avoided = union(clearOf);
    for (Map.Entry<Long, Long> hole : holes.descendingMap().entrySet()) {
      long from = hole.getKey();
      long to = from + hole.getValue();
      long end = to;
      for (Map.Entry<Long, Long> range : avoided.headMap(to, false).descendingMap().entrySet()) {
        if (end - size < from || end - size >= range.getValue()) {
          break;
        }

        end = Math.min(end, range.getKey());
      }

      if (end - size >= from) {
        return take(from, to - from, end - size, size);
      }
    }

    return -1;
  }

  /** Ranges that do not overlap: offset -> end. */
  private static TreeMap<Long, Long> union(List<Range> ranges) {
    TreeMap<Long, Long> union = new TreeMap<>();
    for (Range range : ranges) {
      long from = range.offset();
      long to = range.end();
      Map.Entry<Long, Long> last = union.lowerEntry(to + 1);
      while (last != null && last.getValue() >= from) {
        union.remove(last.getKey());
        from = Math.min(from, last.getKey());
        to = Math.max(to, last.getValue());
        last = union.lowerEntry(to + 1);
      }

      union.put(from, to);
    }

    return union;
  }

  private long take(long hole, long holeBytes, long offset, long size) {
    holes.remove(hole);
    if (offset > hole) {
      holes.put(hole, offset - hole);
    }

    if (offset + size < hole + holeBytes) {
      holes.put(offset + size, hole + holeBytes - offset - size);
    }

    taken.put(offset, size);
    free -= size;
    peak = Math.max(peak, bytes - free);
    return offset;
  }

  /**
   * Gives a range back.
   *
   * @throws IllegalArgumentException if none that is taken begins there
   */
  Range give(long offset) {
    Long size = taken.remove(offset);
    if (size == null) {
      throw new IllegalArgumentException("Nothing is taken at %d".formatted(offset));
    }

    free += size;
    long from = offset;
    long to = offset + size;
    Map.Entry<Long, Long> before = holes.lowerEntry(offset);
    if (before != null && before.getKey() + before.getValue() == offset) {
      from = before.getKey();
    }

    Long after = holes.remove(to);
    holes.put(from, (after == null ? to : to + after) - from);
    return new Range(offset, size);
  }

  /** Bytes of the region. */
  long bytes() {
    return bytes;
  }

  /** Bytes that are free, in all holes. */
  long freeBytes() {
    return free;
  }

  /** Bytes of the largest hole. */
  long largestHole() {
    return holes.values().stream().mapToLong(Long::longValue).max().orElse(0);
  }

  /** Bytes taken at their most so far. */
  long peakBytes() {
    return peak;
  }
}
