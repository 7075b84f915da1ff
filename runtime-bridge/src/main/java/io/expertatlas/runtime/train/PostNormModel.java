package io.expertatlas.runtime.train;

import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The generalized model of {@link PostNormConfig}, for training. */
public final class PostNormModel implements TrainableModel {
  private final PostNormConfig config;
  private final WeightSource source;
  private final ParameterMemory memory;
  private final List<Parameter> parameters = new ArrayList<>();
  private final Map<Integer, double[]> positions = new ConcurrentHashMap<>(); // by length
  private final Parameter embedding; // [V, H]
  private final List<PostNormLayer> layers = new ArrayList<>();
  private final Parameter head; // [V, H]; tied: the embedding again

  /**
   * Reads the weights.
   *
   * @param source such as {@link InitialWeights}
   * @param memory for values and gradients
   * @throws io.expertatlas.runtime.CheckpointException if a tensor is missing or misshapen
   */
  public PostNormModel(PostNormConfig config, WeightSource source, ParameterMemory memory) {
    this.config = config;
    this.memory = memory;
    this.source = source;
    int hidden = config.hidden();
    this.embedding = read("embedding.weight", config.vocabulary(), hidden);
    for (int layer = 0; layer < config.layers(); layer++) {
      layers.add(layer(layer));
    }

    this.head =
        config.tied()
            ? embedding.secondUse(memory)
            : read("head.weight", config.vocabulary(), hidden);
    HostWork.forEach(parameters, Parameter::read);
  }

  private PostNormLayer layer(int layer) {
    String name = "layers." + layer + ".";
    List<Parameter> query = linear(name + "attention.query", config.hidden(), config.hidden());
    List<Parameter> key = linear(name + "attention.key", config.hidden(), config.hidden());
    List<Parameter> value = linear(name + "attention.value", config.hidden(), config.hidden());
    List<Parameter> output = linear(name + "attention.output", config.hidden(), config.hidden());
    List<Parameter> attentionNorm = norm(name + "attention.norm");
    Parameter router = read(name + "router.weight", config.experts(), config.hidden());
    List<Block> experts = new ArrayList<>();
    for (int e = 0; e < config.experts(); e++) {
      List<Parameter> both =
          new ArrayList<>(linear(name + "experts." + e + ".up", config.inner(), config.hidden()));
      both.addAll(linear(name + "experts." + e + ".down", config.hidden(), config.inner()));
      experts.add(new Block("layer %d expert %d".formatted(layer, e), both));
    }

    List<Parameter> expertNorm = norm(name + "experts.norm");
    return new PostNormLayer(
        query,
        key,
        value,
        output,
        attentionNorm,
        expertNorm,
        new MoeBlock(layer, router, experts, ExpertMath.RELU, config.topK(), config.topK() > 1),
        new Heads(config.heads(), config.heads(), config.hidden() / config.heads()),
        config.epsilon());
  }

  private List<Parameter> linear(String name, int out, int in) {
    return List.of(read(name + ".weight", out, in), read(name + ".bias", out));
  }

  private List<Parameter> norm(String name) {
    return List.of(read(name + ".weight", config.hidden()), read(name + ".bias", config.hidden()));
  }

  private Parameter read(String name, long... shape) {
    TensorData tensor = source.tensor(name, shape);
    Parameter parameter = new Parameter(name, tensor, memory);
    parameters.add(parameter);
    return parameter;
  }

  @Override
  public List<Parameter> parameters() {
    return List.copyOf(parameters);
  }

  @Override
  public int vocabulary() {
    return config.vocabulary();
  }

  @Override
  public int hidden() {
    return config.hidden();
  }

  @Override
  public Block embedding() {
    return new Block("embedding", List.of(embedding));
  }

  @Override
  public List<PostNormLayer> layers() {
    return List.copyOf(layers);
  }

  @Override
  public Block head() {
    return new Block("head", List.of(head));
  }

  @Override
  public Matrix embed(int[] ids, int length, Copies copies) {
    Matrix x = copies.value(embedding).gather(ids);
    int[] places = new int[ids.length];
    Arrays.setAll(places, i -> i % length);
    double[] table = positions.computeIfAbsent(length, this::positions);
    return x.add(copies.device().of(length, config.hidden(), table).gather(places));
  }

  /** Sines and cosines of {@code [position][H]}. */
  private double[] positions(int length) {
    int width = config.hidden();
    double[] table = new double[length * width];
    for (int i = 0; i < table.length; i++) {
      int column = i % width;
      double angle = i / width * Math.pow(10_000, -(column - column % 2.0) / width);
      table[i] = column % 2 == 0 ? Math.sin(angle) : Math.cos(angle);
    }

    return table;
  }

  @Override
  public void embedBackward(int[] ids, Matrix gradient, Copies copies) {
    copies.gradient(embedding).addRowsAt(ids, gradient);
  }

  @Override
  public Matrix logits(Matrix x, Copies copies) {
    return x.linear(copies.value(head));
  }

  @Override
  public Matrix logitsBackward(Matrix x, Matrix gradient, Copies copies) {
    copies.addOuter(head, gradient, x);
    return gradient.times(copies.value(head));
  }
}
