package io.expertatlas.runtime.matrix;

import io.expertatlas.runtime.cpu.FloatProducts;
import java.nio.FloatBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * Memory outside the heap for large lasting matrices, sums of gradients mostly, which products
 * write to where they are. What is given back is used again, so that nothing waits for the garbage
 * collector. Safe for several threads.
 */
final class FloatPool {
  /** Smaller ones stay on the heap: numbers. */
  static final int LARGE = 1 << 18;

  private final Map<Integer, Deque<FloatBuffer>> free = new HashMap<>(); // by their numbers

  /** So many zeros, outside the heap if they are many. */
  FloatBuffer zeros(int count) {
    if (count < LARGE) {
      return FloatBuffer.allocate(count);
    }

    FloatBuffer used;
    synchronized (this) {
      used = free.getOrDefault(count, new ArrayDeque<>()).poll();
    }

    if (used == null) {
      return FloatProducts.allocate(count);
    }

    float[] zeros = new float[LARGE];
    for (int first = 0; first < count; first += LARGE) {
      used.put(first, zeros, 0, Math.min(LARGE, count - first));
    }

    return used;
  }

  /** Takes back what it gave. */
  synchronized void giveBack(FloatBuffer values) {
    if (values.capacity() >= LARGE) {
      free.computeIfAbsent(values.capacity(), count -> new ArrayDeque<>()).add(values);
    }
  }
}
