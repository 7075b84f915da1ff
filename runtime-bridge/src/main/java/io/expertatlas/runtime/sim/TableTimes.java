package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.LayerShape;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.LookupTable.Curve;
import io.expertatlas.runtime.pipeline.TokenCurve;
import java.util.Optional;

/**
 * Times on a machine by a profile. Where the profile has no curve:
 *
 * <ul>
 *   <li>the GPU's times are floating-point operations over {@link Machine#gpuFlopsPerSecond}, plus
 *       {@link Machine#gpuLaunchNanos};
 *   <li>backward takes twice as long as forward;
 *   <li>activations are copied at the speed of an expert's weights.
 * </ul>
 *
 * The CPU's times are scaled by the profile's cores over the machine's. Immutable.
 */
public final class TableTimes implements WorkTimes {
  private static final double NANOS = 1e9;

  private final LookupTable table;
  private final LayerShape shape;
  private final Machine machine;
  private final int experts;
  private final int tokens;
  private final int sequence;
  private final double cpuScale;
  private final double loadScale;
  private final double storeScale;
  private final double[][] cpu; // [forward, backward][tokens]
  private final double[][] gpu; // [forward, backward][tokens]

  /**
   * Times.
   *
   * @param experts of a layer
   * @param tokens of a micro-batch
   * @param sequence tokens of a sequence
   * @param mostChoices the most tokens that an expert is asked for at once
   */
  public TableTimes(
      LookupTable table, Machine machine, int experts, int tokens, int sequence, int mostChoices) {
    this.table = table;
    this.shape = table.shape();
    this.machine = machine;
    this.experts = experts;
    this.tokens = tokens;
    this.sequence = sequence;
    this.cpuScale = (double) table.machine().cpuCores() / machine.coresPerProcess();
    double up = machine.hostToDeviceBytesPerSecond();
    double down = machine.deviceToHostBytesPerSecond();
    this.loadScale = up == 0 ? 1 : measuredBytesPerSecond() / up;
    this.storeScale = down == 0 ? loadScale : measuredBytesPerSecond() / down;
    this.cpu = new double[2][mostChoices + 1];
    this.gpu = new double[2][mostChoices + 1];
    for (int count = 1; count <= mostChoices; count++) {
      cpu[0][count] = onCpu(count, false);
      cpu[1][count] = onCpu(count, true);
      gpu[0][count] = onGpu(count, false);
      gpu[1][count] = onGpu(count, true);
    }
  }

  private double measuredBytesPerSecond() {
    return shape.expertBytes() / table.loadExpertNanos() * NANOS;
  }

  private double onCpu(int count, boolean backward) {
    Optional<TokenCurve> measured = table.monotone(Curve.CPU_BACKWARD);
    double compute =
        backward && measured.isPresent()
            ? measured.get().nanos(count)
            : table.monotone(Curve.CPU_FORWARD).orElseThrow().nanos(count) * (backward ? 2 : 1);
    double copy =
        table
            .monotone(Curve.COPY_ACTIVATION)
            .map(curve -> curve.nanos(count))
            .orElse((double) count * shape.tokenBytes() / shape.expertBytes() * loadExpertNanos());
    double back =
        table.monotone(Curve.RETURN_ACTIVATION).map(curve -> curve.nanos(count)).orElse(copy);
    return compute * cpuScale + copy + back;
  }

  private double onGpu(int count, boolean backward) {
    Optional<TokenCurve> measured =
        table.monotone(backward ? Curve.GPU_BACKWARD : Curve.GPU_FORWARD);
    if (measured.isPresent()) {
      return measured.get().nanos(count);
    }

    return table
        .monotone(Curve.GPU_FORWARD)
        .map(forward -> 2 * forward.nanos(count))
        .orElse((backward ? 2 : 1) * computed(shape.expertFlops(count)));
  }

  private double computed(double flops) {
    return flops / machine.gpuFlopsPerSecond() * NANOS + machine.gpuLaunchNanos();
  }

  @Override
  public double cpuNanos(int count, boolean backward) {
    double[] known = cpu[backward ? 1 : 0];
    return count < known.length ? known[count] : onCpu(count, backward);
  }

  @Override
  public double gpuNanos(int count, boolean backward) {
    double[] known = gpu[backward ? 1 : 0];
    return count < known.length ? known[count] : onGpu(count, backward);
  }

  @Override
  public double attentionNanos(boolean backward) {
    return table
        .monotone(backward ? Curve.ATTENTION_BACKWARD : Curve.ATTENTION_FORWARD)
        .map(curve -> curve.nanos(tokens))
        .orElse((backward ? 2 : 1) * computed(shape.attentionFlops(tokens, sequence, experts)));
  }

  @Override
  public double loadExpertNanos() {
    return table.loadExpertNanos() * loadScale;
  }

  @Override
  public double loadAttentionNanos() {
    return table.loadAttentionNanos() * loadScale;
  }

  @Override
  public double loadGateNanos() {
    return table.loadGateNanos(experts) * loadScale;
  }

  @Override
  public double storeBaseNanos() {
    return (table.loadAttentionNanos() + table.loadGateNanos(experts)) * storeScale;
  }

  @Override
  public double storeExpertNanos() {
    return table.loadExpertNanos() * storeScale;
  }

  @Override
  public double sendNanos(int fromGpu, int toGpu) {
    double speed =
        machine.isOneNode(fromGpu, toGpu)
            ? machine.peerBytesPerSecond()
            : machine.networkBytesPerSecond();
    return machine.latencyNanos() + (double) tokens * shape.tokenBytes() / speed * NANOS;
  }

  @Override
  public double rootComplexCapacity() {
    double each = measuredBytesPerSecond() / loadScale;
    return machine.rootComplexBytesPerSecond() == 0
        ? Double.POSITIVE_INFINITY
        : machine.rootComplexBytesPerSecond() / each;
  }
}
