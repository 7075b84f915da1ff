package io.expertatlas.placement.cli;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Traffic;
import io.expertatlas.placement.Traffic.Parallelism;
import io.expertatlas.placement.format.ModelConfig;
import io.expertatlas.placement.solver.Aims;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** The options that say what is wanted of a placement: a picocli {@code @Mixin}. */
final class AimOptions {
  private static final String BYTES = "bytes";

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--objective",
      defaultValue = "hops",
      split = ",",
      paramLabel = "O",
      description =
          "hops (of first choices; 1 in a node, 2 across), crossings, fanout (GPUs and nodes that"
              + " choices touch), load (hottest GPU of each layer), copies or bytes (sent, see"
              + " --parallelism). Several are minimised one after the other, each kept at its value"
              + " for the next (default: ${DEFAULT-VALUE}).")
  private List<String> objectives;

  @Option(
      names = "--slack",
      defaultValue = "0",
      paramLabel = "S",
      description =
          "By what share an objective may rise again for those after it, such as 0.01 (default:"
              + " ${DEFAULT-VALUE}).")
  private double slack;

  @Option(
      names = "--max-load",
      paramLabel = "F",
      description =
          "Cap on the hottest GPU of each layer: F times the least load known for that layer.")
  private Double maxLoad;

  @Option(
      names = "--max-load-over-mean",
      paramLabel = "R",
      description = "Cap on the hottest GPU of each layer: R times the mean of the GPUs.")
  private Double maxLoadOverMean;

  @Option(
      names = "--max-hops",
      paramLabel = "H",
      description = "Cap on hops of a token through all layers, on average.")
  private Double maxHops;

  @Option(
      names = "--max-fanout",
      paramLabel = "F",
      description =
          "Cap on GPUs that a token touches in a layer, on average; with nodes added if there are"
              + " several.")
  private Double maxFanout;

  @Option(
      names = "--parallelism",
      defaultValue = "HOME",
      paramLabel = "P",
      description =
          "Where tokens wait between layers, for bytes: home (SGLang, vLLM, TensorRT-LLM) or"
              + " coherent (ExFlow) (default: home).")
  private Parallelism parallelism;

  @Option(
      names = "--hidden-size",
      paramLabel = "N",
      description = "Numbers in a hidden state, for bytes (default: that of --model-config).")
  private Integer hiddenSize;

  @Option(
      names = "--dtype",
      defaultValue = "bf16",
      converter = DtypeConverter.class,
      paramLabel = "T",
      description = "Of hidden states, for bytes: fp32, bf16, fp16 or fp8 (default: bf16).")
  private int bytesPerNumber;

  @Option(
      names = "--bound-limit",
      defaultValue = "10s",
      converter = LimitConverter.class,
      paramLabel = "T",
      description =
          "Time to prove a bound for each objective, at most half the time limit, or none for the"
              + " bound that is there at once (default: ${DEFAULT-VALUE}).")
  private Duration boundLimit;

  @Option(
      names = "--pareto",
      description =
          "Write a front instead of one placement: the first --objective under caps on the second"
              + " (if only one is given, on load): front.json, front.html, point-N.json.")
  private boolean pareto;

  @Option(
      names = "--pareto-caps",
      defaultValue = "1.02,1.05,1.1,1.2,1.4,none",
      split = ",",
      converter = CapConverter.class,
      paramLabel = "F",
      description =
          "Caps of the front, times the least value known, ascending (default: ${DEFAULT-VALUE}).")
  private List<Double> paretoCaps;

  /** Whether a front is asked for. */
  boolean isFront() {
    return pareto;
  }

  /** The caps of a front, {@code Double.POSITIVE_INFINITY} for none. */
  List<Double> frontCaps() {
    for (int i = 1; i < paretoCaps.size(); i++) {
      if (paretoCaps.get(i) <= paretoCaps.get(i - 1)) {
        throw new ParameterException(
            command.commandLine(),
            "Invalid --pareto-caps: %s after %s, they must ascend"
                .formatted(paretoCaps.get(i), paretoCaps.get(i - 1)));
      }
    }

    return paretoCaps;
  }

  /** The objective that a front minimises and the one that it caps. */
  List<Objective> frontObjectives(Aims aims) {
    List<Objective> both =
        aims.objectives().size() == 1 ? List.of(aims.last(), Objective.LOAD) : aims.objectives();
    boolean fits =
        both.size() == 2 && both.get(0) != both.get(1) && !both.contains(Objective.COPIES);
    if (!fits || !aims.caps().isNone()) {
      throw new ParameterException(
          command.commandLine(),
          "Invalid --pareto: it takes two different --objective of hops, crossings, fanout, load and no --max option");
    }

    return both;
  }

  /**
   * What is wanted.
   *
   * @throws ParameterException if a value is not possible
   */
  Aims aims(Optional<ModelConfig> config) {
    try {
      List<Objective> chosen = new ArrayList<>();
      for (String word : objectives) {
        chosen.add(
            word.equals(BYTES)
                ? traffic(config).orElseThrow(this::noHiddenSize).objective()
                : Objective.ofWord(word));
      }

      return new Aims(
          chosen,
          slack,
          new Aims.Limits(
              optional(maxLoad),
              optional(maxLoadOverMean),
              optional(maxHops),
              optional(maxFanout)));
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), e.getMessage(), e);
    }
  }

  private ParameterException noHiddenSize() {
    return new ParameterException(
        command.commandLine(),
        "Missing required option: '--hidden-size=N', for --objective bytes, or a --model-config"
            + " with hidden_size");
  }

  private static OptionalDouble optional(Double value) {
    return value == null ? OptionalDouble.empty() : OptionalDouble.of(value);
  }

  /** What is sent, if it is known how large a hidden state is. */
  Optional<Traffic> traffic(Optional<ModelConfig> config) {
    int size = hiddenSize != null ? hiddenSize : config.map(ModelConfig::hiddenSize).orElse(0);
    if (hiddenSize == null && size == 0) {
      return Optional.empty();
    }

    try {
      return Optional.of(new Traffic(parallelism, size, bytesPerNumber));
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), e.getMessage(), e);
    }
  }

  /** Time for a bound; zero for none. */
  Duration boundLimit() {
    return boundLimit;
  }

  private static final class DtypeConverter implements ITypeConverter<Integer> {
    @Override
    public Integer convert(String value) {
      return switch (value) {
        case "fp32" -> 4;
        case "bf16", "fp16" -> 2;
        case "fp8" -> 1;
        default ->
            throw new TypeConversionException(
                "Invalid dtype: %s, one of fp32, bf16, fp16, fp8".formatted(value));
      };
    }
  }

  private static final class CapConverter implements ITypeConverter<Double> {
    @Override
    public Double convert(String value) {
      if (value.equals("none")) {
        return Double.POSITIVE_INFINITY;
      }

      try {
        double cap = Double.parseDouble(value);
        if (cap >= 1 && Double.isFinite(cap)) {
          return cap;
        }
      } catch (NumberFormatException e) {
        throw invalid(value, e);
      }

      throw invalid(value, null);
    }

    private static TypeConversionException invalid(String value, NumberFormatException cause) {
      TypeConversionException e =
          new TypeConversionException(
              "Invalid cap of a front: %s, a number of at least 1, or none".formatted(value));
      if (cause != null) {
        e.initCause(cause);
      }

      return e;
    }
  }
}
