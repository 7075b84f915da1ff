package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.BlockIds;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/**
 * The copies of weights on a device, and the threads that make them in the order that the rules of
 * the pipeline say: one copy runs, one is ready behind it. The embedding comes with the first
 * attention group, the head with the last.
 *
 * <p>Rules are asked under its lock ({@link #ask}). Whoever needs a copy waits for it.
 */
final class DeviceMemory implements Copies, AutoCloseable {
  private final int device;
  private final BlockIds ids;
  private final MatrixDevice matrices;
  private final Arena arena;
  private final SpanLog spans;
  private final DemandLoader loader;
  private final List<List<Parameter>> blocks = new ArrayList<>(); // [block]
  private final Map<Parameter, Integer> blockOf = new IdentityHashMap<>();
  private final Map<Parameter, Matrix> values = new IdentityHashMap<>();
  private final Map<Parameter, Matrix> gradients = new IdentityHashMap<>();
  private final List<Thread> threads = new ArrayList<>(); // one for each copy under way
  private final Map<Integer, Long> copying = new LinkedHashMap<>(); // since when; 0: waits for room
  private long lastArrival = Long.MIN_VALUE;
  private long loadedBytes;
  private String failure = "";

  DeviceMemory(
      int device, TrainableModel model, MatrixDevice matrices, Arena arena, SpanLog spans) {
    int layers = model.layers().size();
    this.device = device;
    this.ids = new BlockIds(layers, model.layers().get(0).experts().size());
    this.matrices = matrices;
    this.arena = arena;
    this.spans = spans;
    this.loader = new DemandLoader(ids.count(), DemandLoader.OUTSTANDING);
    for (int layer = 0; layer < layers; layer++) {
      List<Parameter> attention = new ArrayList<>();
      if (layer == 0) {
        attention.addAll(model.embedding().parameters());
      }

      attention.addAll(model.layers().get(layer).attention().parameters());
      if (layer == layers - 1) {
        attention.addAll(model.head().parameters());
      }

      blocks.add(attention);
      blocks.add(model.layers().get(layer).gate().parameters());
      model.layers().get(layer).experts().forEach(expert -> blocks.add(expert.parameters()));
    }

    for (int block = 0; block < blocks.size(); block++) {
      for (Parameter parameter : blocks.get(block)) {
        blockOf.put(parameter, block);
      }
    }

    for (int i = 0; i < DemandLoader.OUTSTANDING; i++) {
      Thread thread = new Thread(this::load, "load-%d-%d".formatted(device, i));
      thread.setDaemon(true);
      thread.start();
      threads.add(thread);
    }
  }

  BlockIds ids() {
    return ids;
  }

  DemandLoader loader() {
    return loader;
  }

  /** Lets rules change what is wanted, or ask what is there. */
  synchronized void ask(Runnable rules) {
    rules.run();
    notifyAll();
  }

  private void load() {
    try {
      while (true) {
        int block = take();
        long bytes = bytes(block);
        arena.reserve(ids.describe(block), bytes);
        final long begin = begin(block);
        List<Matrix> copies = new ArrayList<>();
        for (Parameter one : blocks.get(block)) {
          copies.add(matrices.load(one.value(), one.rows(), one.columns()));
        }

        matrices.awaitLoads();
        arrived(block, copies, begin);
      }
    } catch (InterruptedException e) {
      fail("interrupted");
    } catch (RuntimeException | OutOfMemoryError e) {
      fail(String.valueOf(e.getMessage()));
    }
  }

  private synchronized int take() throws InterruptedException {
    int block = loader.next();
    while (block < 0) {
      wait();
      block = loader.next();
    }

    copying.put(block, 0L);
    return block;
  }

  private synchronized long begin(int block) {
    long now = System.nanoTime();
    copying.put(block, now);
    return now;
  }

  /** What is left of the copies under way, by what copies take; of one that waits for room all. */
  synchronized double copyingNanos(ExpertCosts costs) {
    double left = 0;
    boolean runs = true; // the first one; others wait behind it
    for (Map.Entry<Integer, Long> copy : copying.entrySet()) {
      boolean isExpert = ids.expertOf(copy.getKey()) >= 0;
      double whole = isExpert ? costs.loadExpertNanos() : costs.loadBaseNanos();
      long since = copy.getValue();
      long done = runs && since != 0 ? System.nanoTime() - Math.max(since, lastArrival) : 0;
      left += Math.max(0, whole - done);
      runs = false;
    }

    return left;
  }

  private long bytes(int block) {
    return blocks.get(block).stream().mapToLong(one -> one.copyBytes(matrices)).sum();
  }

  private synchronized void arrived(int block, List<Matrix> copies, long begin) {
    String what = "load " + ids.describe(block);
    spans.add(device, SpanLog.LOAD, what, Math.max(begin, lastArrival)); // one behind the other
    lastArrival = System.nanoTime();
    for (int i = 0; i < copies.size(); i++) {
      values.put(blocks.get(block).get(i), copies.get(i));
    }

    copying.remove(block);
    loader.completed(block);
    loadedBytes += bytes(block);
    notifyAll();
  }

  private synchronized void fail(String why) {
    failure = "Copies to device %d stopped: %s".formatted(device, why);
    notifyAll();
  }

  /** Bytes of all copies so far. */
  synchronized long loadedBytes() {
    return loadedBytes;
  }

  private void check() {
    if (!failure.isEmpty()) {
      throw new IllegalStateException(failure);
    }
  }

  @Override
  public MatrixDevice device() {
    return matrices;
  }

  @Override
  public synchronized Matrix value(Parameter parameter) {
    try {
      int block = blockOf.get(parameter);
      awaitAny(List.of(block), () -> false);
      return values.get(parameter);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("Interrupted while waiting for " + parameter.name(), e);
    }
  }

  /**
   * Waits until one of some blocks is there, or something else has come up.
   *
   * @param other what, asked under the lock
   * @return its place in the list, the first if several are; -1: none is, but the other
   */
  synchronized int awaitAny(List<Integer> wanted, BooleanSupplier other)
      throws InterruptedException {
    while (true) {
      check();
      boolean isComing = false;
      for (int i = 0; i < wanted.size(); i++) {
        int block = wanted.get(i);
        if (loader.isResident(block)) {
          return i;
        }

        isComing |= loader.isCopying(block) || loader.isQueued(block);
      }

      if (other.getAsBoolean()) {
        return -1;
      }

      if (!isComing) {
        throw new IllegalStateException(
            "Nobody asked device %d for %s".formatted(device, ids.describe(wanted.get(0))));
      }

      wait();
    }
  }

  @Override
  public synchronized Matrix gradient(Parameter parameter) {
    return gradients.computeIfAbsent(parameter, one -> matrices.zeros(one.rows(), one.columns()));
  }

  @Override
  public void addOuters(List<Parameter> weights, List<Matrix> gradients, Matrix input) {
    matrices.addOuters(weights.stream().map(this::gradient).toList(), gradients, input);
  }

  /** The sum of a parameter's gradients, which belongs to the caller; none if there is none. */
  synchronized Optional<Matrix> takeGradient(Parameter parameter) {
    return Optional.ofNullable(gradients.remove(parameter));
  }

  /** Gives layers up: copies that wait are not made, those that are there go. */
  synchronized void drop(int firstLayer, int endLayer) throws InterruptedException {
    int first = ids.attention(firstLayer);
    int end = first + (endLayer - firstLayer) * (ids.experts() + 2);
    List<Matrix> dropped = new ArrayList<>();
    long bytes = 0;
    for (int block = first; block < end; block++) {
      loader.cancel(block);
      while (loader.isCopying(block)) {
        check();
        wait();
      }

      if (loader.drop(block)) {
        blocks.get(block).forEach(one -> dropped.add(values.remove(one)));
        bytes += bytes(block);
      }
    }

    matrices.release(dropped);
    arena.release(bytes);
  }

  @Override
  public void close() {
    threads.forEach(Thread::interrupt);
  }
}
