package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.FloatDevice;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Times of what happens to parameters beside computing: they come, gradients go, weights move. */
final class BlockTimes {
  private static final AdamW OPTIMIZER = new AdamW(0.9, 0.999, 1e-8, 0.01);

  private static final long STEADY_NANOS = 300_000_000;

  private final MatrixDevice device;
  private final Stopwatch watch;

  BlockTimes(MatrixDevice device, Stopwatch watch) {
    this.device = device;
    this.watch = watch;
  }

  /** Copies of weights to the device, blocks one behind the other: time of one. */
  double[] load(List<Block> blocks) throws InterruptedException {
    double[] nanos =
        watch.time(
            device,
            new Stopwatch.Prepared<List<Matrix>>() {
              @Override
              public List<Matrix> prepare(int i) {
                return new ArrayList<>();
              }

              @Override
              public void run(List<Matrix> copies) throws InterruptedException {
                for (Block block : blocks) {
                  for (Parameter one : block.parameters()) {
                    copies.add(device.load(one.value(), one.rows(), one.columns()));
                  }
                }

                device.awaitLoads();
              }

              @Override
              public void clear(List<Matrix> copies) {
                copies.forEach(device::release);
              }
            });
    return Arrays.stream(nanos).map(all -> all / blocks.size()).toArray();
  }

  /** Gradients from a device to the host, blocks in turn. */
  double[] store(MatrixDevice where, List<Block> blocks) throws InterruptedException {
    return watch.time(
        where,
        new Stopwatch.Prepared<List<Matrix>>() {
          private Block block;

          @Override
          public List<Matrix> prepare(int i) {
            block = blocks.get(i % blocks.size());
            block.parameters().forEach(Parameter::clearGradient);
            return block.parameters().stream().map(one -> one.zeroSum(where)).toList();
          }

          @Override
          public void run(List<Matrix> sums) {
            for (int i = 0; i < sums.size(); i++) {
              block.parameters().get(i).storeGradient(sums.get(i));
            }
          }
        });
  }

  /**
   * Zeros for gradients, blocks in turn.
   *
   * @param bySums whether gradients begin with sums, for which a device need not write zeros; else
   *     a row is added to each
   */
  double[] clear(MatrixDevice where, List<Block> blocks, boolean bySums)
      throws InterruptedException {
    return watch.time(
        where,
        new Stopwatch.Prepared<List<Matrix>>() {
          private int turn;

          @Override
          public List<Matrix> prepare(int i) {
            turn = i;
            return new ArrayList<>();
          }

          @Override
          @SuppressWarnings("try") // scopes are there to be closed
          public void run(List<Matrix> sums) {
            for (Parameter one : blocks.get(turn % blocks.size()).parameters()) {
              Matrix sum = one.zeroSum(where);
              sums.add(sum);
              if (!bySums) {
                try (MatrixDevice.Scope scope = where.scope()) {
                  sum.addRowsAt(
                      new int[] {0}, where.of(1, one.columns(), new double[one.columns()]));
                }
              }
            }
          }

          @Override
          public void clear(List<Matrix> sums) {
            sums.forEach(where::release);
          }
        });
  }

  /** A step of the optimizer in its steady state, at a rate of 0: weights stay. */
  double[] optimizer(List<Parameter> parameters) throws InterruptedException {
    boolean inDoubles = device.numberBytes() == Double.BYTES;
    for (Parameter one : parameters) {
      one.clearGradient();
      one.storeGradient(one.zeroSum(FloatDevice.INSTANCE));
    }

    for (long begin = System.nanoTime(); System.nanoTime() - begin < STEADY_NANOS; ) {
      OPTIMIZER.step(parameters, 0, 1, inDoubles); // until its loops are compiled
    }

    return watch.time(device, i -> OPTIMIZER.step(parameters, 0, 1, inDoubles));
  }
}
