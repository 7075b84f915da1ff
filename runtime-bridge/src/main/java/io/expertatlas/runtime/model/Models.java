package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.runtime.WeightSource;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The models that are built, by their configuration. */
public final class Models {
  private Models() {}

  /** Loads a model to the devices of a plan's ranks. */
  public static Model load(
      ModelConfig config,
      WeightSource source,
      ExecutionPlan plan,
      List<Device> devices,
      Limits limits,
      RunObserver observer) {
    if (config instanceof MixtralConfig mixtral) {
      return new MixtralModel(mixtral, source, plan, devices, limits, observer);
    }

    return new NllbMoeModel((NllbMoeConfig) config, source, plan, devices, limits, observer);
  }

  /** The shape of every tensor of a model's checkpoint by its name. */
  public static Map<String, List<Long>> shapes(ModelConfig config) {
    return config instanceof MixtralConfig mixtral
        ? MixtralWeights.shapes(mixtral)
        : NllbMoeWeights.shapes((NllbMoeConfig) config);
  }

  /** Names that a checkpoint may hold besides: copies of tied tensors, tables that are computed. */
  public static Set<String> optional(ModelConfig config) {
    return config instanceof NllbMoeConfig ? NllbMoeWeights.OPTIONAL : Set.of();
  }
}
