package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.model.Loading.Part;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a rank holds of Mixtral: everything but the experts of other ranks. Ranks that share memory
 * share all but experts.
 *
 * @param embedding {@code [V, H]}
 * @param layers what all ranks hold of each layer
 * @param moe the MoE block of each layer
 * @param norm {@code [H]}
 * @param head {@code [V, H]}
 * @param frequency F32 {@code [D / 2]}, of the rotary embedding
 */
record MixtralWeights(
    Tensor embedding,
    List<Layer> layers,
    List<MoeWeights> moe,
    Tensor norm,
    Tensor head,
    Tensor frequency) {
  /**
   * A layer.
   *
   * @param attentionNorm {@code [H]}
   * @param attention {@code [(heads + 2 keyHeads) * D, H]}: query, key and value, which are views
   * @param query {@code [heads * D, H]}
   * @param key {@code [keyHeads * D, H]}
   * @param value {@code [keyHeads * D, H]}
   * @param output {@code [H, heads * D]}
   * @param expertNorm {@code [H]}
   * @param router {@code [E, H]}
   */
  record Layer(
      Tensor attentionNorm,
      Tensor attention,
      Tensor query,
      Tensor key,
      Tensor value,
      Tensor output,
      Tensor expertNorm,
      Tensor router) {}

  /** The shape of every tensor of a checkpoint by its name. */
  static Map<String, List<Long>> shapes(MixtralConfig config) {
    Map<String, List<Long>> shapes = new LinkedHashMap<>();
    long hidden = config.hidden();
    long inner = config.inner();
    long queries = (long) config.heads() * config.headSize();
    long keys = (long) config.keyHeads() * config.headSize();
    shapes.put("model.embed_tokens.weight", List.of((long) config.vocabulary(), hidden));
    for (int i = 0; i < config.layers(); i++) {
      String layer = "model.layers." + i + ".";
      shapes.put(layer + "input_layernorm.weight", List.of(hidden));
      shapes.put(layer + "self_attn.q_proj.weight", List.of(queries, hidden));
      shapes.put(layer + "self_attn.k_proj.weight", List.of(keys, hidden));
      shapes.put(layer + "self_attn.v_proj.weight", List.of(keys, hidden));
      shapes.put(layer + "self_attn.o_proj.weight", List.of(hidden, queries));
      shapes.put(layer + "post_attention_layernorm.weight", List.of(hidden));
      shapes.put(layer + "block_sparse_moe.gate.weight", List.of((long) config.experts(), hidden));
      for (int e = 0; e < config.experts(); e++) {
        String expert = layer + "block_sparse_moe.experts." + e;
        shapes.put(expert + ".w1.weight", List.of(inner, hidden));
        shapes.put(expert + ".w2.weight", List.of(hidden, inner));
        shapes.put(expert + ".w3.weight", List.of(inner, hidden));
      }
    }

    shapes.put("model.norm.weight", List.of(hidden));
    shapes.put("lm_head.weight", List.of((long) config.vocabulary(), hidden));
    return shapes;
  }

  /** Loads what every rank holds. */
  static List<MixtralWeights> load(
      MixtralConfig config, WeightSource source, ExecutionPlan plan, List<Device> devices) {
    List<MixtralWeights> all = new ArrayList<>();
    for (int rank = 0; rank < plan.ranks(); rank++) {
      Loader loader = new Loader(config, Loading.of(source, devices.get(rank), plan));
      MixtralWeights dense = Loading.sharer(devices, rank).map(all::get).orElseGet(loader::dense);
      all.add(dense.with(loader, plan, rank));
    }

    return all;
  }

  /** The same with the experts of a rank. */
  private MixtralWeights with(Loader loader, ExecutionPlan plan, int rank) {
    List<MoeWeights> experts = new ArrayList<>();
    for (int layer = 0; layer < layers.size(); layer++) {
      experts.add(loader.moe(layers.get(layer), layer, Loading.experts(plan, layer, rank)));
    }

    return new MixtralWeights(embedding, layers, experts, norm, head, frequency);
  }

  /** Loads to one device. */
  private record Loader(MixtralConfig config, Loading loading) {
    MixtralWeights dense() {
      List<Layer> layers = new ArrayList<>();
      for (int i = 0; i < config.layers(); i++) {
        layers.add(layer("model.layers." + i + "."));
      }

      long hidden = config.hidden();
      return new MixtralWeights(
          loading.weight("model.embed_tokens.weight", config.vocabulary(), hidden),
          layers,
          List.of(),
          loading.exact("model.norm.weight", hidden),
          loading.weight("lm_head.weight", config.vocabulary(), hidden),
          frequency());
    }

    private Layer layer(String name) {
      long hidden = config.hidden();
      long queries = (long) config.heads() * config.headSize();
      long keys = (long) config.keyHeads() * config.headSize();
      String attention = name + "self_attn.";
      Device device = loading.device();
      Tensor stack =
          device.allocate(attention + "qkv", device.weightType(), queries + 2 * keys, hidden);
      Tensor norm = loading.exact(name + "input_layernorm.weight", hidden);
      return new Layer(
          norm,
          stack,
          loading.fill(attention + "q_proj.weight", device.rows(stack, 0, queries)),
          loading.fill(attention + "k_proj.weight", device.rows(stack, queries, keys)),
          loading.fill(attention + "v_proj.weight", device.rows(stack, queries + keys, keys)),
          loading.weight(name + "self_attn.o_proj.weight", hidden, queries),
          loading.exact(name + "post_attention_layernorm.weight", hidden),
          loading.exact(name + "block_sparse_moe.gate.weight", config.experts(), hidden));
    }

    MoeWeights moe(Layer layer, int i, int[] experts) {
      String expert = "model.layers." + i + ".block_sparse_moe.experts.%d";
      long hidden = config.hidden();
      long inner = config.inner();
      DType type = loading.device().weightType();
      return new MoeWeights(
          (device, x, out) -> device.rmsNorm(x, layer.expertNorm(), config.normEpsilon(), out),
          (device, x, renormalize, normed, logits, chosen, weights) ->
              device.normAndRoute(
                  x,
                  layer.expertNorm(),
                  config.normEpsilon(),
                  layer.router(),
                  renormalize,
                  normed,
                  logits,
                  chosen,
                  weights),
          loading.experts(
              i,
              experts,
              config.experts(),
              List.of(
                  new Part(type, expert + ".w1.weight", inner, hidden),
                  new Part(type, expert + ".w3.weight", inner, hidden),
                  new Part(type, expert + ".w2.weight", hidden, inner)),
              stacks -> new ExpertWeights.Swiglu(stacks.get(0), stacks.get(1), stacks.get(2))));
    }

    private Tensor frequency() {
      float[] frequency = new float[config.headSize() / 2];
      for (int i = 0; i < frequency.length; i++) {
        frequency[i] = (float) Math.pow(config.ropeTheta(), -2.0 * i / config.headSize());
      }

      Tensor tensor = loading.device().allocate("rotary frequencies", DType.F32, frequency.length);
      loading.device().write(tensor, frequency);
      return tensor;
    }
  }
}
