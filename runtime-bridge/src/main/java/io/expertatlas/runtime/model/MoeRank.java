package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.trace.ModelShape;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** The scratch of a rank's MoE layers: one set for all layers of a stack. */
final class MoeRank {
  /** Up to so many rows go to the host before it is known whether it needs them. */
  private static final int FEW_ROWS = 64;

  private final Rank rank;
  private final int k;
  private final int layers;
  private final Buffer normed; // [T, H]
  private final Buffer logits; // F32 [T, E]
  private final Buffer chosen; // I32 [layer * T, k], of all layers, to be read at once
  private final Buffer weights; // F32 [layer * T, k]
  private final Buffer order; // I32 [T * k]
  private final Buffer place; // I32 [T, k]
  private final Buffer offsets; // I32 [E + 1]
  private final Buffer inner; // [T * k, F or 2 F]
  private final Buffer results; // [T * k, H]
  private final Buffer combined; // [T, H]
  private final Buffer partial; // [T, H], of a pass of offloaded experts
  private final float outputScale;
  private final Buffer scaled; // F32 [T, k]: weights times it, if it is not 1
  private final Buffer numbers; // I32 [T]: 0, 1, ...
  private final boolean renormalize;
  private final Optional<HostExperts> host; // if experts may be computed there
  private Foreteller foreteller = spoken -> Foretold.NOTHING;
  private CpuRule rule = CpuRule.NONE;

  /**
   * Plans the memory.
   *
   * @param renormalize whether a token's weights are made to sum to 1
   * @param offload says how many experts are on the device at once
   * @param inner numbers of scratch of an expert's row
   * @param outputScale factor of the experts' results
   */
  MoeRank(
      Rank rank,
      ModelShape shape,
      boolean renormalize,
      Optional<Offload> offload,
      int hidden,
      long inner,
      float outputScale,
      int rows) {
    this.rank = rank;
    this.renormalize = renormalize;
    this.k = shape.topK();
    this.layers = shape.layers();
    Device device = rank.device();
    boolean onCpu = offload.filter(Offload::onCpu).isPresent();
    int most =
        onCpu
            ? offload.get().slots() + shape.experts()
            : Math.max(shape.experts(), offload.map(Offload::slots).orElse(0));
    this.normed = rank.activations("MoE input", rows, hidden);
    this.logits = new Buffer(device, "router logits", DType.F32, rows, shape.experts());
    this.chosen = new Buffer(device, "chosen experts", DType.I32, (long) layers * rows, k);
    this.weights = new Buffer(device, "router weights", DType.F32, (long) layers * rows, k);
    this.order = new Buffer(device, "order of choices", DType.I32, (long) rows * k);
    this.place = new Buffer(device, "places of choices", DType.I32, rows, k);
    this.offsets = new Buffer(device, "offsets of experts", DType.I32, most + 1);
    this.inner = rank.activations("expert inner states", (long) rows * k, inner);
    this.results = rank.activations("expert results", (long) rows * k, hidden);
    this.combined = rank.activations("weighted sums", rows, hidden);
    this.partial =
        rank.activations("sums of a pass of experts", offload.isPresent() ? rows : 0, hidden);
    this.outputScale = outputScale;
    int scaledRows = outputScale == 1 ? 0 : rows;
    this.scaled = new Buffer(device, "scaled router weights", DType.F32, scaledRows, k);
    this.numbers = new Buffer(device, "numbers of rows", DType.I32, scaledRows);
    device.write(numbers.whole(), IntStream.range(0, scaledRows).toArray());
    this.host =
        onCpu ? Optional.of(new HostExperts(device, rows, k, hidden, inner)) : Optional.empty();
  }

  Rank rank() {
    return rank;
  }

  /** The choices of the rank's tokens in a layer, {@code [T, k]}. */
  Tensor chosen(int layer) {
    return rank.device().rows(chosen.whole(), (long) layer * rank.rows(), rank.rows());
  }

  /** The weights of these choices, {@code [T, k]}. */
  Tensor weights(int layer) {
    return rank.device().rows(weights.whole(), (long) layer * rank.rows(), rank.rows());
  }

  /** Normalises the hidden states, {@code [T, H]}, and asks the router. */
  Tensor route(int layer, MoeWeights moe, boolean renormalize) {
    int rows = rank.rows();
    moe.router()
        .choose(
            rank.device(),
            rank.hidden(),
            renormalize,
            normed.rows(rows),
            logits.rows(rows),
            chosen(layer),
            weights(layer));
    return normed.rows(rows);
  }

  /** Normalises hidden states that came from elsewhere. */
  Tensor norm(MoeWeights moe, Tensor hidden) {
    Tensor out = normed.rows((int) hidden.size(0));
    moe.norm().apply(rank.device(), hidden, out);
    return out;
  }

  /** Foretells the next layer's experts from now on. */
  void foretellBy(Foreteller other) {
    foreteller = other;
  }

  /** Computes missing experts on a CPU from now on, as a rule says. */
  void computeOn(Device cpu, CpuRule by) {
    host.orElseThrow().computeOn(cpu);
    rule = by;
  }

  /** Measures what experts cost on a CPU and on the way here. */
  HostCosts measure(ExpertCache cache, Device cpu) {
    host.orElseThrow().computeOn(cpu);
    return CostMeter.measure(cache, host.get());
  }

  /** Asks the gate of another layer, and puts its choices where those of that layer's router go. */
  void guess(int layer, Tensor gate, Tensor input) {
    Device device = rank.device();
    Tensor scores = logits.rows(rank.rows());
    device.linear(input, gate, scores);
    device.route(scores, renormalize, chosen(layer), weights(layer));
  }

  /**
   * Sum of scale * weight * expert(input) over the choices of the rank's tokens, {@code [T, H]}.
   */
  Tensor experts(int layer, MoeWeights moe, Tensor input, Step step) {
    if (!(moe.experts() instanceof HeldExperts.Offloaded held)) {
      return experts(moe, input, chosen(layer), weights(layer));
    }

    int rows = rank.rows();
    boolean isAsked = foreteller.ask(layer, this, input);
    if (rule != CpuRule.NONE && rows <= FEW_ROWS) {
      host.orElseThrow().take(input); // one wait for the choices and for the rows
    }

    held.cache().pump();
    long first = (long) layer * rows;
    int[] read =
        rank.device().read(rank.device().rows(chosen.whole(), first, isAsked ? 2L * rows : rows));
    int[] choices = Arrays.copyOf(read, rows * k);
    int[] guesses = Arrays.copyOfRange(read, rows * k, read.length);
    Foretold foretold =
        foreteller.next(
            new Foreteller.Spoken(
                step, layer, choices, guesses, () -> rank.device().readFloats(input)));
    Tensor sum = combined.rows(rows);
    offloaded(held, input, chosen(layer), scale(weights(layer)), choices, foretold, sum);
    return sum;
  }

  /**
   * Sum of scale * weight * expert(input) over the choices that are computed here, {@code [T, H]}.
   */
  Tensor experts(MoeWeights moe, Tensor input, Tensor choices, Tensor weightsOfChoices) {
    Tensor sum = combined.rows((int) input.size(0));
    Tensor factors = scale(weightsOfChoices);
    if (moe.experts() instanceof HeldExperts.Offloaded held) {
      int[] ids = rank.device().read(choices);
      offloaded(held, input, choices, factors, ids, Foretold.NOTHING, sum);
    } else {
      HeldExperts.Resident resident = (HeldExperts.Resident) moe.experts();
      ExpertGroups groups = compute(resident.local(), resident.weights(), input, choices);
      rank.device().combine(results.rows((int) input.size(0) * k), groups, factors, sum);
    }

    return sum;
  }

  /** Weights times the scale of outputs; the router's own stay as they are, to be recorded. */
  private Tensor scale(Tensor weightsOfChoices) {
    if (outputScale == 1) {
      return weightsOfChoices;
    }

    int rows = (int) weightsOfChoices.size(0);
    rank.device().embed(numbers.rows(rows), weightsOfChoices, outputScale, scaled.rows(rows));
    return scaled.rows(rows);
  }

  /**
   * The same, sets of experts coming one after the other; foretold ones only if there is one set.
   */
  private void offloaded(
      HeldExperts.Offloaded held,
      Tensor input,
      Tensor choices,
      Tensor factors,
      int[] ids,
      Foretold foretold,
      Tensor sum) {
    Device device = rank.device();
    ExpertCache cache = held.cache();
    HostShare share = rule == CpuRule.NONE ? HostShare.NONE : cache.share(held.layer(), ids, rule);
    boolean isLarge = input.size(0) > FEW_ROWS;
    if (share.isSome() && isLarge) {
      host.orElseThrow().take(input);
      device.synchronize();
    }

    List<int[]> passes = cache.passes(held.layer(), ids, share);
    boolean isOne = passes.size() == 1;
    for (int pass = 0; pass < passes.size(); pass++) {
      Tensor part = pass == 0 ? sum : partial.rows((int) input.size(0));
      HostShare now = pass > 0 ? HostShare.NONE : isOne ? share : share.withoutSpare();
      cache.bring(held.layer(), passes.get(pass), now, isOne ? foretold : Foretold.NOTHING);
      HostStep work = HostStep.of(held, now, host, ids, k, passes.get(pass));
      if (isLarge) { // the device's products may wait for copies, and the host for them
        work.compute();
      }

      int experts = cache.weights().experts() + work.experts().size();
      ExpertGroups groups = group(cache.local(), experts, input, choices);
      compute(cache.weights(), groups, input);
      if (!isLarge) {
        work.compute();
      }

      work.give(device, results.whole());
      device.combine(results.rows((int) input.size(0) * k), groups, factors, part);
      if (pass > 0) {
        device.add(part, sum);
      }
    }
  }

  /** Results of experts for the choices that are computed here. */
  private ExpertGroups compute(Tensor local, ExpertWeights weights, Tensor input, Tensor choices) {
    ExpertGroups groups = group(local, weights.experts(), input, choices);
    compute(weights, groups, input);
    return groups;
  }

  /** Choices sorted by so many experts. */
  private ExpertGroups group(Tensor local, int experts, Tensor input, Tensor choices) {
    int rows = (int) input.size(0);
    ExpertGroups groups =
        new ExpertGroups(order.rows(rows * k), place.rows(rows), offsets.rows(experts + 1));
    rank.device().groupByExpert(choices, local, groups);
    return groups;
  }

  /** Results of the first groups: those of the experts that are on the device. */
  private void compute(ExpertWeights weights, ExpertGroups groups, Tensor input) {
    int rows = (int) input.size(0);
    Device device = rank.device();
    ExpertGroups here =
        groups.offsets().elements() == weights.experts() + 1
            ? groups
            : new ExpertGroups(
                groups.order(),
                groups.place(),
                device.rows(groups.offsets(), 0, weights.experts() + 1));
    device.experts(weights, here, input, inner.rows(rows * k), results.rows(rows * k));
  }

  /** An RMS norm: {@link Device#rmsNorm}. */
  record Rms(Tensor weight, double epsilon) {}

  /**
   * A whole MoE layer where all experts are here and stay: from the hidden states to the next
   * block's input.
   *
   * @param renormalize whether a token's weights are made to sum to 1
   * @param nextNorm of the block behind
   * @param nextInput {@code [T, H]}, is filled
   */
  void layer(int layer, MoeWeights moe, boolean renormalize, Rms nextNorm, Tensor nextInput) {
    Device device = rank.device();
    int rows = rank.rows();
    device.mark("router");
    Tensor input = route(layer, moe, renormalize);
    device.mark("experts");
    HeldExperts.Resident experts = (HeldExperts.Resident) moe.experts();
    ExpertGroups groups = compute(experts.local(), experts.weights(), input, chosen(layer));
    device.combineAndNorm(
        results.rows(rows * k),
        groups,
        scale(weights(layer)),
        rank.hidden(),
        nextNorm.weight(),
        nextNorm.epsilon(),
        nextInput);
    device.mark("");
  }

  /** The choices of the rank's tokens in all layers, {@code [layer * T, k]}. */
  Tensor allChosen() {
    return chosen.rows(layers * rank.rows());
  }

  /** The weights of these choices. */
  Tensor allWeights() {
    return weights.rows(layers * rank.rows());
  }

  /** Copies the choices of all layers to the host at once. */
  void log(Routes routes) {
    log(rank.device().read(allChosen()), rank.device().readFloats(allWeights()), 0, routes);
  }

  /** Takes choices and weights of all layers, {@code [layer][T][k]}, from a place in arrays on. */
  void log(int[] ids, float[] factors, int from, Routes routes) {
    int[] tokens = rank.tokens();
    for (int layer = 0; layer < layers; layer++) {
      for (int t = 0; t < tokens.length; t++) {
        for (int r = 0; r < k; r++) {
          int at = from + (layer * tokens.length + t) * k + r;
          routes.set(tokens[t], layer, r, ids[at], factors[at]);
        }
      }
    }
  }
}
