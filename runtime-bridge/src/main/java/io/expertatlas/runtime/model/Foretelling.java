package io.expertatlas.runtime.model;

import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.trace.ModelShape;
import java.util.List;
import java.util.function.BiFunction;

/** What foretells the experts that the next MoE layer will need, so that they are fetched ahead. */
public final class Foretelling {
  /** Nothing is foretold. */
  public static final Foretelling NONE =
      new Foretelling((shape, gates) -> spoken -> Foretold.NOTHING);

  /** The experts chosen most since foretelling began: as many as the layer at work needs. */
  public static final Foretelling POPULARITY =
      new Foretelling((shape, gates) -> new PopularityForeteller(shape));

  /** What the next layer's own gate chooses on the input of this layer's. */
  public static final Foretelling NEXT_GATE =
      new Foretelling((shape, gates) -> new NextGateForeteller(shape, gates));

  private final BiFunction<ModelShape, List<Tensor>, Foreteller> begin;

  private Foretelling(BiFunction<ModelShape, List<Tensor>, Foreteller> begin) {
    this.begin = begin;
  }

  /** What a predictor scores highest, for the model that it was made for. */
  public static Foretelling by(ExpertPredictor predictor) {
    return new Foretelling((shape, gates) -> new PredictorForeteller(predictor));
  }

  /** What an earlier run of the same prompts chose; another choice stops the run. */
  public static Foretelling by(RecordedRoutes routes) {
    return new Foretelling((shape, gates) -> new OracleForeteller(routes));
  }

  /**
   * Begins to foretell.
   *
   * @param shape of the MoE layers
   * @param gates of the layers, {@code [E, H]}
   */
  Foreteller begin(ModelShape shape, List<Tensor> gates) {
    return begin.apply(shape, gates);
  }
}
