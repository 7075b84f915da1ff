package io.expertatlas.runtime.pipeline;

import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What one machine takes for the pieces of one model's layer, as a profile measured them. Times are
 * nanoseconds; the raw samples are kept, and what is asked is their median. Immutable.
 */
public final class LookupTable {
  /** Curves that a table may have; only the first must be there. */
  public enum Curve {
    /** An expert forward on the CPU. */
    CPU_FORWARD,
    /** The first half of an expert on the CPU once more, for gradients. */
    CPU_AGAIN,
    /** An expert's gradients on the CPU. */
    CPU_BACKWARD,
    /** An expert forward on the GPU. */
    GPU_FORWARD,
    /** The first half of an expert on the GPU once more, for gradients. */
    GPU_AGAIN,
    /** An expert's gradients on the GPU. */
    GPU_BACKWARD,
    /** Activations of so many tokens from one side to the other; from the GPU if they differ. */
    COPY_ACTIVATION,
    /** Activations of so many tokens back to the GPU. */
    RETURN_ACTIVATION,
    /** Attention, norms and gate of so many tokens forward, experts' rows gathered and summed. */
    ATTENTION_FORWARD,
    /** Attention and norms once more, for gradients: tokens go where they went. */
    ATTENTION_AGAIN,
    /** Their gradients. */
    ATTENTION_BACKWARD,
    /** The embedding of so many tokens. */
    EMBED_FORWARD,
    /** Its gradients. */
    EMBED_BACKWARD,
    /** Logits and loss of so many tokens. */
    HEAD_FORWARD,
    /** Their gradients. */
    HEAD_BACKWARD
  }

  private final String name;
  private final Machine machine;
  private final LayerShape shape;
  private final double[] loadExpert; // samples, nanoseconds
  private final double[] loadAttention; // samples
  private final TreeMap<Integer, double[]> loadGate; // experts -> samples
  private final Map<Curve, TokenCurve> measured;
  private final Map<Curve, TokenCurve> monotone = new TreeMap<>();
  private final Optional<TrainingProfile> training;
  private final double expertNanos;
  private final double attentionNanos;

  /**
   * The machine of a profile.
   *
   * @param description in words
   * @param cpuCores that computed an expert
   * @param device what was profiled beside them: {@code cpu}, where that is the CPU itself, {@code
   *     cuda}, or empty, not said
   */
  public record Machine(String description, int cpuCores, String device) {
    private static final List<String> DEVICES = List.of("cpu", "cuda", "");

    /** Checks the cores and the device. */
    public Machine {
      Objects.requireNonNull(description, "description is null");
      if (!DEVICES.contains(device)) {
        throw new IllegalArgumentException(
            "Invalid device of a profile: %s, cpu or cuda".formatted(device));
      }

      if (cpuCores < 1) {
        throw new IllegalArgumentException(
            "Invalid number of CPU cores: %d, at least 1".formatted(cpuCores));
      }
    }

    /** A machine whose device is not said. */
    public Machine(String description, int cpuCores) {
      this(description, cpuCores, "");
    }
  }

  /**
   * A table of loads and curves alone.
   *
   * @throws IllegalArgumentException as the other one
   */
  public LookupTable(
      String name,
      Machine machine,
      LayerShape shape,
      double[] loadExpert,
      double[] loadAttention,
      Map<Integer, double[]> loadGate,
      Map<Curve, TokenCurve> curves) {
    this(name, machine, shape, loadExpert, loadAttention, loadGate, curves, Optional.empty());
  }

  /**
   * A table.
   *
   * @param loadExpert samples of copying an expert's weights to the GPU, nanoseconds
   * @param loadAttention samples of copying the attention's weights
   * @param loadGate samples of copying a gate's weights, by its number of experts
   * @param curves by what they measure
   * @param training of a profile of training, which has all curves
   * @throws IllegalArgumentException if a sample is not positive, or the CPU's forward curve or all
   *     gates are missing; of a profile of training any curve
   */
  public LookupTable(
      String name,
      Machine machine,
      LayerShape shape,
      double[] loadExpert,
      double[] loadAttention,
      Map<Integer, double[]> loadGate,
      Map<Curve, TokenCurve> curves,
      Optional<TrainingProfile> training) {
    this.name = Objects.requireNonNull(name, "name is null");
    this.machine = Objects.requireNonNull(machine, "machine is null");
    this.shape = Objects.requireNonNull(shape, "shape is null");
    this.loadExpert = loadExpert.clone();
    this.loadAttention = loadAttention.clone();
    this.loadGate = new TreeMap<>(loadGate);
    this.measured = new TreeMap<>(curves);
    this.expertNanos = TokenCurve.median(loadExpert);
    this.attentionNanos = TokenCurve.median(loadAttention);
    loadGate.values().forEach(TokenCurve::median);
    if (loadGate.isEmpty() || !curves.containsKey(Curve.CPU_FORWARD)) {
      throw new IllegalArgumentException(
          "Invalid lookup table %s: it needs load times of a gate and the CPU's forward curve"
              .formatted(name));
    }

    this.training = training;
    for (Curve curve : training.isPresent() ? Curve.values() : new Curve[0]) {
      if (!measured.containsKey(curve)) {
        throw new IllegalArgumentException(
            "Invalid lookup table %s: a profile of training needs the curve %s"
                .formatted(name, curve));
      }
    }

    measured.forEach((what, curve) -> monotone.put(what, curve.monotone()));
  }

  /** What was profiled. */
  public String name() {
    return name;
  }

  /** What it was profiled on. */
  public Machine machine() {
    return machine;
  }

  /** The layer that was profiled. */
  public LayerShape shape() {
    return shape;
  }

  /** Nanoseconds to copy an expert's weights to the GPU. */
  public double loadExpertNanos() {
    return expertNanos;
  }

  /** Nanoseconds to copy the attention's weights to the GPU. */
  public double loadAttentionNanos() {
    return attentionNanos;
  }

  /**
   * Nanoseconds to copy the weights of a gate of so many experts. Between two measured numbers of
   * experts, and outside them, a straight line through the nearest two; with one measured, in
   * proportion to the experts.
   */
  public double loadGateNanos(int experts) {
    double[] samples = loadGate.get(experts);
    if (samples != null) {
      return TokenCurve.median(samples);
    }

    if (loadGate.size() == 1) {
      return TokenCurve.median(loadGate.firstEntry().getValue()) * experts / loadGate.firstKey();
    }

    Integer low = loadGate.lowerKey(experts);
    Integer high = loadGate.higherKey(experts);
    if (low == null) {
      low = high;
      high = loadGate.higherKey(low);
    } else if (high == null) {
      high = low;
      low = loadGate.lowerKey(high);
    }

    double atLow = TokenCurve.median(loadGate.get(low));
    double atHigh = TokenCurve.median(loadGate.get(high));
    double value = atLow + (atHigh - atLow) * (experts - low) / (high - low);
    return Math.max(value, 0);
  }

  /** Whether it is a profile of training. */
  public boolean isOfTraining() {
    return training.isPresent();
  }

  /**
   * What it says of training.
   *
   * @throws IllegalArgumentException if it is no profile of training
   */
  public TrainingProfile training() {
    return training.orElseThrow(
        () ->
            new IllegalArgumentException(
                "Lookup table %s is no profile of training (format-version 2). Maybe make one with 'atlas profile'"
                    .formatted(name)));
  }

  /** The curve as measured, if there is one. */
  public Optional<TokenCurve> measured(Curve what) {
    return Optional.ofNullable(measured.get(what));
  }

  /** The curve made monotone, if there is one. */
  public Optional<TokenCurve> monotone(Curve what) {
    return Optional.ofNullable(monotone.get(what));
  }

  /** Samples of copying an expert, nanoseconds. */
  public double[] loadExpertSamples() {
    return loadExpert.clone();
  }

  /** Samples of copying the attention, nanoseconds. */
  public double[] loadAttentionSamples() {
    return loadAttention.clone();
  }

  /** Samples of copying a gate by its number of experts, nanoseconds. */
  public NavigableMap<Integer, double[]> loadGateSamples() {
    NavigableMap<Integer, double[]> copy = new TreeMap<>();
    loadGate.forEach((experts, samples) -> copy.put(experts, samples.clone()));
    return copy;
  }
}
