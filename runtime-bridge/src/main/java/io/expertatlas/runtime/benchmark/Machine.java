package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.RandomValues;
import io.expertatlas.runtime.Tensor;
import java.util.List;

/**
 * What a machine could do: its memory's bandwidth, and its dense products of a model's sizes.
 *
 * @param bytesPerSecond of memory, read and written
 * @param isMeasured whether the bandwidth was measured, by copying, or given
 * @param productNanos time of the dense products of one prefill, all layers
 */
public record Machine(double bytesPerSecond, boolean isMeasured, double productNanos) {
  private static final int COPIES = 8;

  /**
   * Measures a device.
   *
   * @param bandwidth bytes a second; 0: measure
   * @param tokens of the prefill
   */
  public static Machine measure(
      Device device, MixtralConfig config, double bandwidth, int tokens, int rounds) {
    double measured = bandwidth > 0 ? bandwidth : bandwidth(device, rounds);
    return new Machine(measured, bandwidth <= 0, products(device, config, tokens, rounds));
  }

  /** Bytes that copies read and write a second. */
  private static double bandwidth(Device device, int rounds) {
    boolean isHost = device.name().startsWith("cpu");
    long elements = isHost ? 1 << 24 : 1 << 28; // beyond all caches
    Tensor from = device.allocate("copied", DType.F32, elements);
    Tensor into = device.allocate("copy", DType.F32, elements);
    double nanos =
        Times.median(
            rounds,
            device,
            () -> {
              for (int i = 0; i < COPIES; i++) {
                device.receive(device, from, into);
              }
            });
    return 2.0 * COPIES * from.bytes() / nanos * 1e9;
  }

  /**
   * Nanoseconds of a prefill's products by the device's {@link Device#linear} alone: attention's
   * projections, and experts with evenly many tokens each.
   */
  private static double products(Device device, MixtralConfig config, int tokens, int rounds) {
    long hidden = config.hidden();
    long queries = (long) config.heads() * config.headSize();
    long all = queries + 2L * config.keyHeads() * config.headSize();
    int rows = Math.max(1, (tokens * config.topK() + config.experts() - 1) / config.experts());
    Product attention = new Product(device, tokens, hidden, all);
    Product output = new Product(device, tokens, queries, hidden);
    Product[] up = new Product[config.experts()]; // apart: each expert's weights are read
    Product[] down = new Product[config.experts()];
    for (int e = 0; e < up.length; e++) {
      up[e] = new Product(device, rows, hidden, config.inner());
      down[e] = new Product(device, rows, config.inner(), hidden);
    }

    double nanos =
        Times.median(
            rounds,
            device,
            () -> {
              attention.run();
              output.run();
              for (int e = 0; e < up.length; e++) {
                up[e].run(); // gate
                up[e].run();
                down[e].run();
              }
            });
    return nanos * config.layers();
  }

  /** A product with operands of its own. */
  private record Product(Device device, Tensor x, Tensor weight, Tensor out) {
    Product(Device device, int rows, long in, long outs) {
      this(
          device,
          random(device, device.activationType(), rows, in),
          random(device, device.weightType(), outs, in),
          device.allocate("product", device.activationType(), rows, outs));
    }

    private static Tensor random(Device device, DType type, long rows, long width) {
      Tensor tensor = device.allocate("factor", type, rows, width);
      device.load(RandomValues.ofSize("factor", List.of(rows, width), rows + width, 0.5), tensor);
      return tensor;
    }

    void run() {
      device.linear(x, weight, out);
    }
  }
}
