package io.expertatlas.runtime.train;

import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.Rotary;
import java.util.ArrayList;
import java.util.List;

/**
 * Mixtral (arXiv 2401.04088) for training; the same computation as {@code
 * runtime.model.MixtralModel}, in doubles, with its backward. Parameters have the names of Hugging
 * Face checkpoints.
 */
public final class MixtralTraining implements TrainableModel {
  private final MixtralConfig config;
  private final ParameterMemory memory;
  private final List<Parameter> parameters = new ArrayList<>();
  private final Parameter embedding; // [V, H]
  private final List<MixtralLayer> layers = new ArrayList<>();
  private final Parameter norm; // [H]
  private final Parameter head; // [V, H]; tied: the embedding again

  /**
   * Reads the weights.
   *
   * @param tied whether the embedding is the head too; {@code lm_head.weight} is not read then
   * @param memory for values and gradients
   * @throws io.expertatlas.runtime.CheckpointException if a tensor is missing or misshapen
   */
  public MixtralTraining(
      MixtralConfig config, WeightSource source, boolean tied, ParameterMemory memory) {
    this.memory = memory;
    this.config = config;
    int hidden = config.hidden();
    this.embedding = read(source, "model.embed_tokens.weight", config.vocabulary(), hidden);
    for (int layer = 0; layer < config.layers(); layer++) {
      layers.add(layer(source, layer));
    }

    this.norm = read(source, "model.norm.weight", hidden);
    this.head =
        tied
            ? embedding.secondUse(memory)
            : read(source, "lm_head.weight", config.vocabulary(), hidden);
    HostWork.forEach(parameters, Parameter::read);
  }

  private MixtralLayer layer(WeightSource source, int layer) {
    String name = "model.layers." + layer + ".";
    int hidden = config.hidden();
    int queries = config.heads() * config.headSize();
    int keys = config.keyHeads() * config.headSize();
    Parameter attentionNorm = read(source, name + "input_layernorm.weight", hidden);
    Parameter query = read(source, name + "self_attn.q_proj.weight", queries, hidden);
    Parameter key = read(source, name + "self_attn.k_proj.weight", keys, hidden);
    Parameter value = read(source, name + "self_attn.v_proj.weight", keys, hidden);
    Parameter output = read(source, name + "self_attn.o_proj.weight", hidden, queries);
    Parameter expertNorm = read(source, name + "post_attention_layernorm.weight", hidden);
    String moe = name + "block_sparse_moe.";
    Parameter router = read(source, moe + "gate.weight", config.experts(), hidden);
    List<Block> experts = new ArrayList<>();
    for (int e = 0; e < config.experts(); e++) {
      String expert = moe + "experts." + e;
      experts.add(
          new Block(
              "layer %d expert %d".formatted(layer, e),
              List.of(
                  read(source, expert + ".w1.weight", config.inner(), hidden),
                  read(source, expert + ".w2.weight", hidden, config.inner()),
                  read(source, expert + ".w3.weight", config.inner(), hidden))));
    }

    return new MixtralLayer(
        attentionNorm,
        query,
        key,
        value,
        output,
        expertNorm,
        new MoeBlock(layer, router, experts, ExpertMath.SWIGLU, config.topK(), true),
        new Heads(config.heads(), config.keyHeads(), config.headSize()),
        new Rotary(config.headSize(), config.ropeTheta()),
        config.normEpsilon());
  }

  private Parameter read(WeightSource source, String name, long... shape) {
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
  public List<MixtralLayer> layers() {
    return List.copyOf(layers);
  }

  @Override
  public Block head() {
    return new Block("head", List.of(norm, head));
  }

  @Override
  public Matrix embed(int[] ids, int length, Copies copies) {
    return copies.value(embedding).gather(ids);
  }

  @Override
  public void embedBackward(int[] ids, Matrix gradient, Copies copies) {
    copies.gradient(embedding).addRowsAt(ids, gradient);
  }

  @Override
  public Matrix logits(Matrix x, Copies copies) {
    return x.rmsNorm(copies.value(norm), config.normEpsilon()).linear(copies.value(head));
  }

  @Override
  public Matrix logitsBackward(Matrix x, Matrix gradient, Copies copies) {
    Matrix gain = copies.value(norm);
    copies.addOuter(head, gradient, x.rmsNorm(gain, config.normEpsilon()));
    return x.rmsNormBackward(
        gain, config.normEpsilon(), gradient.times(copies.value(head)), copies.gradient(norm));
  }
}
