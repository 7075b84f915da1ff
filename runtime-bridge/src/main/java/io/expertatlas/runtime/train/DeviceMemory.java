package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.BlockIds;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/**
 * The copies of weights on a device, and the thread that makes them in the order that the rules of
 * the pipeline say. The embedding comes with the first attention group, the head with the last.
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
  private final Thread thread;
  private int copying = -1; // block under way
  private long copyBegan; // nanoTime; 0: it waits for room
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
    this.loader = new DemandLoader(ids.count(), 1);
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

    this.thread = new Thread(this::load, "load-" + device);
    thread.setDaemon(true);
    thread.start();
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
        long begin = begin();
        List<Matrix> copies = new ArrayList<>();
        for (Parameter one : blocks.get(block)) {
          copies.add(matrices.load(one.value(), one.rows(), one.columns()));
        }

        spans.add(device, SpanLog.LOAD, "load " + ids.describe(block), begin);
        arrived(block, copies);
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

    copying = block;
    copyBegan = 0;
    return block;
  }

  private synchronized long begin() {
    copyBegan = System.nanoTime();
    return copyBegan;
  }

  /** What is left of the copy under way, by what copies take; of one that waits for room all. */
  synchronized double copyingNanos(ExpertCosts costs) {
    if (copying < 0) {
      return 0;
    }

    double whole = ids.expertOf(copying) >= 0 ? costs.loadExpertNanos() : costs.loadBaseNanos();
    return copyBegan == 0 ? whole : Math.max(0, whole - (System.nanoTime() - copyBegan));
  }

  private long bytes(int block) {
    return blocks.get(block).stream().mapToLong(one -> one.copyBytes(matrices)).sum();
  }

  private synchronized void arrived(int block, List<Matrix> copies) {
    for (int i = 0; i < copies.size(); i++) {
      values.put(blocks.get(block).get(i), copies.get(i));
    }

    copying = -1;
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

  /** The sum of a parameter's gradients, which belongs to the caller; none if there is none. */
  synchronized Optional<Matrix> takeGradient(Parameter parameter) {
    return Optional.ofNullable(gradients.remove(parameter));
  }

  /** Gives layers up: copies that wait are not made, those that are there go. */
  synchronized void drop(int firstLayer, int endLayer) throws InterruptedException {
    int first = ids.attention(firstLayer);
    int end = first + (endLayer - firstLayer) * (ids.experts() + 2);
    for (int block = first; block < end; block++) {
      loader.cancel(block);
      while (loader.isCopying(block)) {
        check();
        wait();
      }

      if (loader.drop(block)) {
        for (Parameter parameter : blocks.get(block)) {
          matrices.release(values.remove(parameter));
        }

        arena.release(bytes(block));
      }
    }
  }

  @Override
  public void close() {
    thread.interrupt();
  }
}
