package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.model.Loading.Part;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * What a rank holds of NLLB-MoE: everything but the experts of other ranks.
 *
 * @param embedding {@code [V, H]}: of encoder, decoder and head
 * @param positions F32 {@code [capacity, H]}: what is added to the embedding at each position
 * @param encoder the encoder
 * @param decoder the decoder
 */
record NllbMoeWeights(Tensor embedding, Tensor positions, Stack encoder, Stack decoder) {
  /** Tied to {@code model.shared.weight}, or computed. */
  static final Set<String> OPTIONAL =
      Set.of(
          "lm_head.weight",
          "model.encoder.embed_tokens.weight",
          "model.decoder.embed_tokens.weight",
          "model.encoder.embed_positions.weights",
          "model.decoder.embed_positions.weights");

  static final double NORM_EPSILON = 1e-5;

  /** A layer norm: weight and bias, {@code [H]}. */
  record LayerNorm(Tensor weight, Tensor bias) {
    void apply(Device device, Tensor x, Tensor out) {
      device.layerNorm(x, weight, bias, NORM_EPSILON, out);
    }
  }

  /** A matrix {@code [out, in]} with its bias {@code [out]}. */
  record Projection(Tensor weight, Tensor bias) {}

  /** An attention block: its norm before it, four projections {@code [H, H]}. */
  record Attention(
      LayerNorm norm, Projection query, Projection key, Projection value, Projection output) {}

  /**
   * A layer. Lists are empty or hold one entry.
   *
   * @param self attention to its own side
   * @param cross attention to the encoder's output, in the decoder
   * @param norm before the dense block or the MoE block
   * @param up {@code [F, H]}, of a dense block
   * @param down {@code [H, F]}, of a dense block
   * @param router {@code [E, H]}, of a MoE block, and its bias if there is one
   */
  record Layer(
      Attention self,
      List<Attention> cross,
      LayerNorm norm,
      List<Projection> up,
      List<Projection> down,
      List<Tensor> router) {
    boolean isMoe() {
      return !router.isEmpty();
    }
  }

  /**
   * The encoder or the decoder.
   *
   * @param layers in order
   * @param moe the MoE blocks, in order
   * @param norm after the last layer
   */
  record Stack(List<Layer> layers, List<MoeWeights> moe, LayerNorm norm) {}

  /** Whether a layer is a MoE layer. */
  static boolean isMoe(int layer, int sparseStep) {
    return (layer + 1) % sparseStep == 0;
  }

  /** The shape of every tensor of a checkpoint by its name. */
  static Map<String, List<Long>> shapes(NllbMoeConfig config) {
    Map<String, List<Long>> shapes = new LinkedHashMap<>();
    shapes.put("model.shared.weight", List.of((long) config.vocabulary(), (long) config.hidden()));
    for (Side side : List.of(Side.encoder(config), Side.decoder(config))) {
      for (int i = 0; i < side.layers(); i++) {
        String layer = side.name() + ".layers." + i + ".";
        attention(shapes, layer + "self_attn", config.hidden());
        if (side.hasCross()) {
          attention(shapes, layer + "cross_attention", config.hidden());
        }

        norm(shapes, layer + "ff_layer_norm", config.hidden());
        if (isMoe(i, side.sparseStep())) {
          String router = layer + "ffn.router.classifier.";
          shapes.put(router + "weight", List.of((long) config.experts(), (long) config.hidden()));
          if (config.routerBias()) {
            shapes.put(router + "bias", List.of((long) config.experts()));
          }

          for (int e = 0; e < config.experts(); e++) {
            block(shapes, layer + "ffn.experts.expert_" + e, side.inner(), config.hidden());
          }
        } else {
          block(shapes, layer + "ffn", side.inner(), config.hidden());
        }
      }

      norm(shapes, side.name() + ".layer_norm", config.hidden());
    }

    return shapes;
  }

  private static void attention(Map<String, List<Long>> shapes, String name, long hidden) {
    for (String part : List.of(".q_proj", ".k_proj", ".v_proj", ".out_proj")) {
      shapes.put(name + part + ".weight", List.of(hidden, hidden));
      shapes.put(name + part + ".bias", List.of(hidden));
    }

    norm(shapes, name + "_layer_norm", hidden);
  }

  private static void norm(Map<String, List<Long>> shapes, String name, long hidden) {
    shapes.put(name + ".weight", List.of(hidden));
    shapes.put(name + ".bias", List.of(hidden));
  }

  private static void block(Map<String, List<Long>> shapes, String name, long inner, long hidden) {
    shapes.put(name + ".fc1.weight", List.of(inner, hidden));
    shapes.put(name + ".fc1.bias", List.of(inner));
    shapes.put(name + ".fc2.weight", List.of(hidden, inner));
    shapes.put(name + ".fc2.bias", List.of(hidden));
  }

  /** The numbers of the encoder or the decoder. */
  private record Side(
      String name, int layers, int sparseStep, int inner, int firstMoeLayer, boolean hasCross) {
    static Side encoder(NllbMoeConfig config) {
      return new Side(
          "model.encoder",
          config.encoderLayers(),
          config.encoderSparseStep(),
          config.encoderInner(),
          0,
          false);
    }

    static Side decoder(NllbMoeConfig config) {
      return new Side(
          "model.decoder",
          config.decoderLayers(),
          config.decoderSparseStep(),
          config.decoderInner(),
          config.encoderMoeLayers(),
          true);
    }
  }

  /** The MoE blocks of both stacks. */
  List<MoeWeights> moe() {
    return Stream.of(encoder, decoder).flatMap(stack -> stack.moe().stream()).toList();
  }

  /** Loads what every rank holds; positions up to the capacity. */
  static List<NllbMoeWeights> load(
      NllbMoeConfig config,
      WeightSource source,
      ExecutionPlan plan,
      List<Device> devices,
      int capacity) {
    List<NllbMoeWeights> all = new ArrayList<>();
    for (int rank = 0; rank < plan.ranks(); rank++) {
      Loader loader = new Loader(config, Loading.of(source, devices.get(rank), plan), plan, rank);
      NllbMoeWeights dense =
          Loading.sharer(devices, rank).map(all::get).orElseGet(() -> loader.dense(capacity));
      all.add(loader.withExperts(dense));
    }

    return all;
  }

  /** Loads one rank. */
  private record Loader(NllbMoeConfig config, Loading loading, ExecutionPlan plan, int rank) {
    NllbMoeWeights dense(int capacity) {
      return new NllbMoeWeights(
          loading.weight("model.shared.weight", config.vocabulary(), config.hidden()),
          positions(capacity),
          stack(Side.encoder(config)),
          stack(Side.decoder(config)));
    }

    NllbMoeWeights withExperts(NllbMoeWeights dense) {
      return new NllbMoeWeights(
          dense.embedding,
          dense.positions,
          withExperts(dense.encoder, Side.encoder(config)),
          withExperts(dense.decoder, Side.decoder(config)));
    }

    private Stack stack(Side side) {
      List<Layer> layers = new ArrayList<>();
      for (int i = 0; i < side.layers(); i++) {
        String name = side.name() + ".layers." + i + ".";
        boolean moe = isMoe(i, side.sparseStep());
        layers.add(
            new Layer(
                attention(name + "self_attn"),
                side.hasCross() ? List.of(attention(name + "cross_attention")) : List.of(),
                norm(name + "ff_layer_norm"),
                moe
                    ? List.of()
                    : List.of(projection(name + "ffn.fc1", side.inner(), config.hidden())),
                moe
                    ? List.of()
                    : List.of(projection(name + "ffn.fc2", config.hidden(), side.inner())),
                moe ? router(name + "ffn.router.classifier.") : List.of()));
      }

      return new Stack(layers, List.of(), norm(side.name() + ".layer_norm"));
    }

    private Stack withExperts(Stack stack, Side side) {
      List<MoeWeights> moe = new ArrayList<>();
      for (int i = 0; i < side.layers(); i++) {
        Layer layer = stack.layers().get(i);
        if (layer.isMoe()) {
          int moeLayer = side.firstMoeLayer() + moe.size();
          moe.add(
              new MoeWeights(
                  layer.norm()::apply,
                  (device, x, renormalize, normed, logits, chosen, weights) -> {
                    layer.norm().apply(device, x, normed);
                    routerLogits(device, layer.router(), normed, logits);
                    device.route(logits, renormalize, chosen, weights);
                  },
                  experts(
                      moeLayer, side.name() + ".layers." + i + ".ffn.experts.expert_%d", side)));
        }
      }

      return new Stack(stack.layers(), moe, stack.norm());
    }

    private static void routerLogits(Device device, List<Tensor> router, Tensor x, Tensor out) {
      if (router.size() == 1) {
        device.linear(x, router.get(0), out);
      } else {
        device.linear(x, router.get(0), router.get(1), out);
      }
    }

    private HeldExperts experts(int moeLayer, String name, Side side) {
      long hidden = config.hidden();
      long inner = side.inner();
      DType type = loading.device().weightType();
      return loading.experts(
          moeLayer,
          Loading.experts(plan, moeLayer, rank),
          config.experts(),
          List.of(
              new Part(type, name + ".fc1.weight", inner, hidden),
              new Part(DType.F32, name + ".fc1.bias", inner),
              new Part(type, name + ".fc2.weight", hidden, inner),
              new Part(DType.F32, name + ".fc2.bias", hidden)),
          stacks ->
              new ExpertWeights.Relu(stacks.get(0), stacks.get(1), stacks.get(2), stacks.get(3)));
    }

    private List<Tensor> router(String name) {
      List<Tensor> router = new ArrayList<>();
      router.add(loading.exact(name + "weight", config.experts(), config.hidden()));
      if (config.routerBias()) {
        router.add(loading.exact(name + "bias", config.experts()));
      }

      return router;
    }

    private Attention attention(String name) {
      long hidden = config.hidden();
      return new Attention(
          norm(name + "_layer_norm"),
          projection(name + ".q_proj", hidden, hidden),
          projection(name + ".k_proj", hidden, hidden),
          projection(name + ".v_proj", hidden, hidden),
          projection(name + ".out_proj", hidden, hidden));
    }

    private Projection projection(String name, long out, long in) {
      return new Projection(
          loading.weight(name + ".weight", out, in), loading.exact(name + ".bias", out));
    }

    private LayerNorm norm(String name) {
      return new LayerNorm(
          loading.exact(name + ".weight", config.hidden()),
          loading.exact(name + ".bias", config.hidden()));
    }

    /**
     * Sinusoids as fairseq makes them: sines, then cosines, of {@code position / 10000^(i / (H/2 -
     * 1))}, positions counting from the padding id + 1.
     */
    private Tensor positions(int capacity) {
      int half = config.hidden() / 2;
      float[] table = new float[Math.multiplyExact(capacity, config.hidden())];
      for (int position = 0; position < capacity; position++) {
        for (int i = 0; i < half; i++) {
          double frequency = half == 1 ? 1 : Math.exp(-Math.log(10000) * i / (half - 1));
          double angle = (position + config.padding() + 1) * frequency;
          table[position * config.hidden() + i] = (float) Math.sin(angle);
          table[position * config.hidden() + half + i] = (float) Math.cos(angle);
        }
      }

      Tensor tensor = loading.device().allocate("positions", DType.F32, capacity, config.hidden());
      loading.device().write(tensor, table);
      return tensor;
    }
  }
}
