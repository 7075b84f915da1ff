package io.expertatlas.runtime.model;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.TrafficMatrix;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * MoE layers over several ranks. Normed hidden states travel to the ranks of a token's experts,
 * weighted partial sums travel to where the token goes on: home, or in coherent mode the rank of
 * its first choice. There the residual stream itself travels, rounded to the type of activations
 * once a layer, also for tokens that stay, and receivers normalise it. Partial sums are added in
 * order of the choices, so a token's result does not depend on the placement (to the last bit for k
 * up to 2; beyond, sums of three numbers may group differently).
 *
 * <p>What is counted is what is copied from one rank's memory to another's: vectors of hidden size.
 * Ids and weights of choices (8 bytes a choice) are not counted.
 */
final class MoeExchange {
  private final ExecutionPlan plan;
  private final boolean renormalize;
  private final int firstLayer;
  private final TrafficMatrix traffic;
  private final List<MoeRank> ranks = new ArrayList<>();
  private final List<Post> posts = new ArrayList<>();
  private final ModelShape shape;

  /** Buffers of a rank for vectors on their way. */
  private static final class Post {
    final Buffer index; // I32 [T * k]
    final Buffer outgoing; // [T, H]
    final Buffer incoming; // [T, H]: inputs (coherent: hidden states) of what is computed here
    final Buffer choices; // I32 [T, k]
    final Buffer factors; // F32 [T, k]
    final Buffer partials; // [T * k, H]: partial sums of the tokens that meet here
    final Buffer places; // I32 [T, k]
    final Buffer ones; // F32 [T, k]
    final Buffer sums; // F32 [T, H]

    Post(Rank rank, int k, int hidden, int rows) {
      Device device = rank.device();
      index = new Buffer(device, "rows to send", DType.I32, (long) rows * k);
      outgoing = rank.activations("outgoing vectors", rows, hidden);
      incoming = rank.activations("incoming vectors", rows, hidden);
      choices = new Buffer(device, "choices to compute", DType.I32, rows, k);
      factors = new Buffer(device, "their weights", DType.F32, rows, k);
      partials = rank.activations("partial sums", (long) rows * k, hidden);
      places = new Buffer(device, "places of partial sums", DType.I32, rows, k);
      ones = new Buffer(device, "ones", DType.F32, rows, k);
      sums = new Buffer(device, "sums", DType.F32, rows, hidden);
      float[] one = new float[rows * k];
      Arrays.fill(one, 1);
      device.write(ones.whole(), one);
    }
  }

  /**
   * Plans the memory.
   *
   * @param layers the MoE layers of the stack
   * @param firstLayer which of the model's MoE layers is its first
   * @param inner numbers of scratch of an expert's row
   * @param outputScale factor of the experts' results
   * @param traffic counts, of the whole model
   */
  MoeExchange(
      ExecutionPlan plan,
      int layers,
      int firstLayer,
      boolean renormalize,
      List<Rank> onRanks,
      int hidden,
      long inner,
      float outputScale,
      int rows,
      TrafficMatrix traffic) {
    this.plan = plan;
    this.shape = new ModelShape(layers, plan.shape().experts(), plan.shape().topK());
    this.renormalize = renormalize;
    this.firstLayer = firstLayer;
    this.traffic = traffic;
    for (Rank rank : onRanks) {
      ranks.add(
          new MoeRank(rank, shape, renormalize, plan.offload(), hidden, inner, outputScale, rows));
      if (plan.ranks() > 1) {
        posts.add(new Post(rank, shape.topK(), hidden, rows));
      }
    }
  }

  /** The scratch of a rank. */
  MoeRank rank(int number) {
    return ranks.get(number);
  }

  /**
   * Measures what experts cost on a CPU and on their way to the device.
   *
   * @param held those of the only rank
   * @throws IllegalArgumentException if the plan gives the CPU no part
   */
  HostCosts measureHost(List<MoeWeights> held, Device cpu) {
    checkHost();
    return ranks.get(0).measure(HeldExperts.caches(held).findFirst().orElseThrow(), cpu);
  }

  /**
   * Computes missing experts on a CPU from now on, as a rule says.
   *
   * @throws IllegalArgumentException if the plan gives the CPU no part
   */
  void computeOnHost(Device cpu, CpuRule rule) {
    checkHost();
    ranks.get(0).computeOn(cpu, rule);
  }

  private void checkHost() {
    if (plan.offload().filter(Offload::onCpu).isEmpty()) {
      throw new IllegalArgumentException(
          "Cannot compute experts on the CPU: the plan keeps them on the devices");
    }
  }

  /** A log for the choices of a step. */
  Routes routes(Step step) {
    return new Routes(step, shape, firstLayer);
  }

  /** One MoE layer: adds the experts' weighted results to the hidden states. */
  void run(int layer, List<MoeWeights> moe, Step step, Routes routes) {
    if (plan.ranks() == 1) {
      alone(layer, moe.get(0), routes);
    } else {
      together(layer, moe, step, routes);
    }
  }

  /** Without a word from the host; the choices are read after the last layer. */
  private void alone(int layer, MoeWeights moe, Routes routes) {
    MoeRank rank = ranks.get(0);
    Device device = rank.rank().device();
    device.mark("router");
    Tensor input = rank.route(layer, moe, renormalize);
    device.mark("experts");
    Tensor sum = rank.experts(layer, moe, input, routes.step());
    device.add(sum, rank.rank().hidden());
    device.mark("");
    if (layer == shape.layers() - 1) {
      rank.log(routes);
    }
  }

  private void together(int layer, List<MoeWeights> moe, Step step, Routes routes) {
    boolean coherent = plan.mode() == ParallelMode.COHERENT;
    Tensor[] inputs = new Tensor[ranks.size()]; // what is sent to the experts, by rank
    List<Dispatch.Resident> residents = new ArrayList<>();
    for (MoeRank rank : ranks) {
      if (rank.rank().rows() > 0) {
        rank.rank().device().mark("router");
        Tensor normed = rank.route(layer, moe.get(rank.rank().number()), renormalize);
        inputs[rank.rank().number()] = coherent ? rank.rank().hidden() : normed;
        rank.rank().device().mark("");
      }
    }

    for (MoeRank rank : ranks) { // all are at work before the host waits for one
      if (rank.rank().rows() > 0) {
        residents.addAll(residents(layer, rank, routes));
      }
    }

    Dispatch dispatch = new Dispatch(plan, firstLayer + layer, step, residents);
    for (MoeRank rank : ranks) {
      deliver(layer, rank, dispatch, inputs);
    }

    List<Tensor> partial = new ArrayList<>();
    for (MoeRank rank : ranks) {
      partial.add(compute(rank, moe.get(rank.rank().number()), dispatch));
    }

    if (coherent) {
      move(step, dispatch);
    }

    for (MoeRank rank : ranks) {
      collect(layer, rank, dispatch, partial);
    }
  }

  private List<Dispatch.Resident> residents(int layer, MoeRank rank, Routes routes) {
    int k = shape.topK();
    int[] experts = rank.rank().device().read(rank.chosen(layer));
    float[] weights = rank.rank().device().readFloats(rank.weights(layer));
    int[] tokens = rank.rank().tokens();
    List<Dispatch.Resident> residents = new ArrayList<>();
    for (int t = 0; t < tokens.length; t++) {
      for (int r = 0; r < k; r++) {
        routes.set(tokens[t], layer, r, experts[t * k + r], weights[t * k + r]);
      }

      residents.add(
          new Dispatch.Resident(
              tokens[t],
              rank.rank().number(),
              t,
              Arrays.copyOfRange(experts, t * k, t * k + k),
              Arrays.copyOfRange(weights, t * k, t * k + k)));
    }

    return residents;
  }

  /** Brings the inputs of a rank's visitors to it. */
  private void deliver(int layer, MoeRank rank, Dispatch dispatch, Tensor[] inputs) {
    List<Dispatch.Visit> visits = dispatch.visits(rank.rank().number());
    Post post = posts.get(rank.rank().number());
    int at = 0;
    while (at < visits.size()) {
      int from = visits.get(at).from();
      int end = at;
      while (end < visits.size() && visits.get(end).from() == from) {
        end++;
      }

      int[] rows = visits.subList(at, end).stream().mapToInt(Dispatch.Visit::fromRow).toArray();
      transfer(
          layer,
          inputs[from],
          from,
          rows,
          rank.rank().number(),
          post.incoming.rows(at, rows.length));
      at = end;
    }
  }

  /** Copies rows of a tensor on one rank to a tensor on another, or the same one. */
  private void transfer(int layer, Tensor in, int from, int[] rows, int to, Tensor out) {
    Device sender = ranks.get(from).rank().device();
    Device receiver = ranks.get(to).rank().device();
    Tensor index = posts.get(from).index.rows(rows.length);
    sender.write(index, rows);
    if (from == to) {
      sender.gatherRows(in, index, out);
      return;
    }

    Tensor outgoing = posts.get(from).outgoing.rows(rows.length);
    sender.mark("send");
    sender.gatherRows(in, index, outgoing);
    sender.mark("");
    receiver.mark("receive");
    receiver.receive(sender, outgoing, out);
    receiver.mark("");
    traffic.add(firstLayer + layer, from, to, rows.length);
  }

  /** The partial sums of a rank's visitors, {@code [visits, H]}. */
  private Tensor compute(MoeRank rank, MoeWeights moe, Dispatch dispatch) {
    List<Dispatch.Visit> visits = dispatch.visits(rank.rank().number());
    Post post = posts.get(rank.rank().number());
    int rows = visits.size();
    int k = shape.topK();
    Tensor choices = post.choices.rows(rows);
    Tensor factors = post.factors.rows(rows);
    if (rows == 0) {
      return post.sums.rows(0);
    }

    int[] experts = new int[rows * k];
    float[] weights = new float[rows * k];
    for (int t = 0; t < rows; t++) {
      System.arraycopy(visits.get(t).experts(), 0, experts, t * k, k);
      System.arraycopy(visits.get(t).weights(), 0, weights, t * k, k);
    }

    Device device = rank.rank().device();
    device.write(choices, experts);
    device.write(factors, weights);
    device.mark("experts");
    Tensor incoming = post.incoming.rows(rows);
    Tensor input = plan.mode() == ParallelMode.COHERENT ? rank.norm(moe, incoming) : incoming;
    Tensor sum = rank.experts(moe, input, choices, factors);
    device.mark("");
    return sum;
  }

  /** Coherent mode: tokens go on where their first choice is; their hidden states are there. */
  private void move(Step step, Dispatch dispatch) {
    for (MoeRank rank : ranks) {
      int number = rank.rank().number();
      List<Dispatch.Visit> visits = dispatch.visits(number);
      int[] rows =
          IntStream.range(0, visits.size())
              .filter(row -> dispatch.meet(visits.get(row).token()) == number)
              .boxed()
              .sorted(Comparator.comparingInt(row -> visits.get(row).token()))
              .mapToInt(row -> row)
              .toArray();
      int[] tokens = Arrays.stream(rows).map(row -> visits.get(row).token()).toArray();
      rank.rank().hold(step, tokens, plan);
      if (rows.length > 0) {
        transfer(
            0,
            posts.get(number).incoming.rows(visits.size()),
            number,
            rows,
            number,
            rank.rank().hidden());
      }
    }
  }

  /** Adds the partial sums of a rank's tokens to their hidden states. */
  private void collect(int layer, MoeRank rank, Dispatch dispatch, List<Tensor> partial) {
    int k = shape.topK();
    int number = rank.rank().number();
    int[] tokens = rank.rank().tokens();
    if (tokens.length == 0) {
      return;
    }

    int[] rowOf = new int[dispatch.tokens()];
    for (int row = 0; row < tokens.length; row++) {
      rowOf[tokens[row]] = row;
    }

    Post post = posts.get(number);
    int[] places = new int[tokens.length * k];
    Arrays.fill(places, -1);
    int at = 0;
    for (int from = 0; from < ranks.size(); from++) {
      List<Dispatch.Visit> visits = dispatch.visits(from);
      int[] rows = new int[visits.size()];
      int count = 0;
      for (int row = 0; row < rows.length; row++) {
        int token = visits.get(row).token();
        if (dispatch.meet(token) == number) {
          int order = dispatch.orderOf(token, from);
          places[rowOf[token] * k + order] = at + count;
          rows[count++] = row;
        }
      }

      if (count > 0) {
        transfer(
            layer,
            partial.get(from),
            from,
            Arrays.copyOf(rows, count),
            number,
            post.partials.rows(at, count));
        at += count;
      }
    }

    Device device = rank.rank().device();
    device.write(post.places.rows(tokens.length), places);
    device.mark("combine");
    device.combine(
        post.partials.rows(at),
        new ExpertGroups(post.index.rows(1), post.places.rows(tokens.length), post.index.rows(1)),
        post.ones.rows(tokens.length),
        post.sums.rows(tokens.length));
    device.add(post.sums.rows(tokens.length), rank.rank().hidden());
    device.mark("");
  }
}
