package io.expertatlas.runtime;

import java.util.List;

/**
 * A place that computes: one queue of operations, carried out in the order they were called. Calls
 * return before the work is done; {@link #read}, {@link #readFloats} and {@link #synchronize} wait.
 * All operands, indices and counts too, lie on the device, so a step needs no word from the host
 * between its operations and can be captured as a whole. Not safe for several threads.
 *
 * <p>T is the number of rows (tokens) of an operation: the first axis of its output. Activations
 * are {@link DType#F32} or what {@link #activationType} says; weights {@link #weightType}; logits,
 * router weights, norms' statistics and softmax are computed in F32. Inputs and outputs do not
 * overlap where nothing else is said. Wrong shapes are refused with an IllegalArgumentException
 * that holds the operation and the shapes.
 */
public interface Device extends AutoCloseable {
  /** What outputs call it: {@code cpu:0}, {@code cuda:1}. */
  String name();

  /** How weights are held. */
  DType weightType();

  /** How activations and caches are held. */
  DType activationType();

  /** Whether this device can use the tensors of another directly, as devices of one memory can. */
  boolean sharesMemoryWith(Device other);

  // Memory

  /**
   * A new tensor, filled with zeros. It lives until the device is closed: a model allocates all it
   * needs once, for its largest step, and works on {@link #rows} of it.
   *
   * @param name for messages
   * @throws IllegalStateException if the device's budget does not allow it, with what is needed
   */
  Tensor allocate(String name, DType type, long... shape);

  /** A view of {@code count} entries of the first axis, from {@code first} on. */
  Tensor rows(Tensor tensor, long first, long count);

  /**
   * A view of the same elements in another shape.
   *
   * @throws IllegalArgumentException if the number of elements differs
   */
  Tensor reshape(Tensor tensor, long... shape);

  /** Fills a tensor with values of the same number of elements, converted to its type. */
  void load(TensorData values, Tensor into);

  /** Fills the first {@code values.length} elements of an I32 tensor. */
  void write(Tensor tensor, int... values);

  /** Fills the first {@code values.length} elements of an F32 tensor. */
  void write(Tensor tensor, float... values);

  /** Waits, then copies an I32 tensor to the host. */
  int[] read(Tensor tensor);

  /** Waits, then copies a tensor of floats to the host, widened to F32. */
  float[] readFloats(Tensor tensor);

  /** Waits until all operations are done. */
  void synchronize();

  /**
   * A tensor in memory of the host that {@link #fetch} copies from at the speed of the link: locked
   * to its pages, if the device is a GPU. It is freed with the device. Operations take it by {@link
   * #mapped} only.
   *
   * @throws IllegalStateException if the host has not so much memory
   */
  default Tensor allocateOnHost(String name, DType type, long... shape) {
    return allocate(name, type, shape);
  }

  /**
   * The elements of a tensor of {@link #allocateOnHost} for operations of this device, which find
   * them where they are: a GPU over its link. What they wrote there, others see once this device
   * was waited for.
   *
   * @param onHost of this device; for the CPU, of any
   */
  default Tensor mapped(Tensor onHost) {
    return onHost;
  }

  /** Waits, then copies a tensor of this device to one of {@link #allocateOnHost}. */
  default void store(Tensor tensor, Tensor onHost) {
    receive(this, tensor, onHost);
  }

  /**
   * Begins to copy a tensor of {@link #allocateOnHost} into one of this device: behind all that was
   * called so far and the copies before it, beside what is called from now on.
   *
   * @return to be joined before the first operation that needs it is called
   */
  default HostCopy fetch(Tensor onHost, Tensor into) {
    receive(this, onHost, into);
    return HostCopy.DONE;
  }

  /**
   * The same of some entries of the first axis, but behind the copies before it alone: beside
   * operations that were called already, none of which uses {@code into}.
   */
  default HostCopy fetchAhead(Tensor onHost, Tensor into, long first, long count) {
    receive(this, rows(onHost, first, count), rows(into, first, count));
    return HostCopy.DONE;
  }

  /** Whether all operations are done, copies from the host aside; does not wait. */
  default boolean isIdle() {
    return true;
  }

  /**
   * Copies a tensor of another device, after all that was called on that device before; the other
   * device does not overwrite it sooner.
   */
  void receive(Device sender, Tensor from, Tensor into);

  /**
   * Carries operations out now and gives back what repeats them, on this device as one unit (a CUDA
   * graph) where it can. The operations must not read, write, load or synchronize; what changes
   * between repetitions lies in tensors.
   */
  default Runnable repeatable(Runnable operations) {
    operations.run();
    return operations;
  }

  // Rows

  /** {@code out[t] = scale * table[ids[t]]}; ids I32 [T], table [V, W], out [T, W]. */
  void embed(Tensor ids, Tensor table, float scale, Tensor out);

  /** {@code out[t] += table[index[t]]}; index I32 [T], table [N, W], out [T, W]. */
  void addRows(Tensor table, Tensor index, Tensor out);

  /**
   * {@code out[t] = in[index[t]]}, converted to the type of out; index I32 [T], in [N, W], out [T,
   * W].
   */
  void gatherRows(Tensor in, Tensor index, Tensor out);

  /**
   * {@code out[index[n]] += in[n]}, n ascending; index I32 [N], in [N, W], out [T, W]. Rows of one
   * index are added in their order.
   */
  void scatterAdd(Tensor in, Tensor index, Tensor out);

  /** {@code out += x}, element by element. */
  void add(Tensor x, Tensor out);

  /** {@code out[t] += bias}; bias [W], out [T, W]. */
  void addBias(Tensor bias, Tensor out);

  /** {@code x = max(x, 0)}. */
  void relu(Tensor x);

  /** {@code out[t] = x[t] / sqrt(mean(x[t]^2) + epsilon) * weight}; x, out [T, H], weight [H]. */
  void rmsNorm(Tensor x, Tensor weight, double epsilon, Tensor out);

  /**
   * {@code out[t] = (x[t] - mean) / sqrt(variance + epsilon) * weight + bias}, variance biased; x,
   * out [T, H], weight and bias [H].
   */
  void layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon, Tensor out);

  // Matrix products

  /** {@code out[t] = weight x[t]}; x [T, I], weight [O, I], out [T, O]. */
  void linear(Tensor x, Tensor weight, Tensor out);

  /** {@code out[t] += weight x[t]}: a product with its residual. */
  void linearAdd(Tensor x, Tensor weight, Tensor out);

  /** {@code out[t] = weight x[t] + bias}; bias [O]. */
  default void linear(Tensor x, Tensor weight, Tensor bias, Tensor out) {
    linear(x, weight, out);
    addBias(bias, out);
  }

  /** {@code out[t] += weight x[t] + bias}. */
  default void linearAdd(Tensor x, Tensor weight, Tensor bias, Tensor out) {
    linearAdd(x, weight, out);
    addBias(bias, out);
  }

  // Attention

  /**
   * Rotary position embedding in place (arXiv 2104.09864), the two halves of a head being the two
   * coordinates: for head h and i below D/2, {@code (x[i], x[i + D/2])} is turned by {@code
   * position * frequency[i]}.
   *
   * @param x [T, heads * D]
   * @param frequency F32 [D/2]
   * @param positions I32 [T]
   */
  void rotary(Tensor x, Tensor frequency, Tensor positions);

  /**
   * {@code cache[slots[t]][positions[t]] = in[t]}.
   *
   * @param in [T, W]
   * @param slots I32 [T]
   * @param positions I32 [T]
   * @param cache [slots, capacity, W]
   */
  void append(Tensor in, Tensor slots, Tensor positions, Tensor cache);

  /**
   * Attention of each row over the first {@code visible} entries of its slot: causal over a KV
   * cache (prefill and decode), bidirectional in an encoder, or over an encoder's output, depending
   * on what the batch says. Query head h reads key head {@code h / (heads / keyHeads)}; scores are
   * {@code q . k * scale}, softmax in F32. A row that sees nothing gets zeros.
   *
   * @param q [T, heads * D]
   * @param keys [slots, capacity, keyHeads * D]
   * @param values [slots, capacity, keyHeads * D]
   * @param headSize D
   * @param out [T, heads * D]
   */
  void attention(
      Tensor q, Tensor keys, Tensor values, Batch batch, int headSize, float scale, Tensor out);

  /**
   * What attention begins with: queries, keys and values of x, both former turned by position, keys
   * and values appended to the caches.
   *
   * @param x [T, H]
   * @param weight [(heads + 2 keyHeads) * D, H]: rows of the queries, of the keys, of the values
   * @param frequency F32 [D/2], as of {@link #rotary}
   * @param scratch [T, (heads + 2 keyHeads) * D]
   * @param q [T, heads * D], is filled
   * @param keys [slots, capacity, keyHeads * D]
   * @param values [slots, capacity, keyHeads * D]
   */
  default void queriesKeysValues(
      Tensor x,
      Tensor weight,
      Tensor frequency,
      Batch batch,
      Tensor scratch,
      Tensor q,
      Tensor keys,
      Tensor values) {
    long queries = q.width();
    long width = keys.size(2);
    Tensor flat = reshape(scratch, scratch.elements());
    Tensor k = reshape(rows(flat, 0, x.size(0) * width), x.size(0), width);
    Tensor v = reshape(rows(flat, x.size(0) * width, x.size(0) * width), x.size(0), width);
    linear(x, rows(weight, 0, queries), q);
    linear(x, rows(weight, queries, width), k);
    linear(x, rows(weight, queries + width, width), v);
    rotary(q, frequency, batch.positions());
    rotary(k, frequency, batch.positions());
    append(k, batch.slots(), batch.positions(), keys);
    append(v, batch.slots(), batch.positions(), values);
  }

  // Experts

  /**
   * {@link #rmsNorm} of x into normed, the logits of a router without bias, and {@link #route}.
   *
   * @param x [T, H]
   * @param weight F32 [H], of the norm
   * @param router F32 [E, H]
   * @param normed [T, H], is filled
   * @param logits F32 [T, E], is filled
   */
  default void normAndRoute(
      Tensor x,
      Tensor weight,
      double epsilon,
      Tensor router,
      boolean renormalize,
      Tensor normed,
      Tensor logits,
      Tensor experts,
      Tensor weights) {
    rmsNorm(x, weight, epsilon, normed);
    linear(normed, router, logits);
    route(logits, renormalize, experts, weights);
  }

  /**
   * The router: the k largest logits, equal ones by lower expert; weights are their probabilities,
   * the softmax of all logits in F32, divided by their sum if asked for.
   *
   * @param logits F32 [T, E]
   * @param renormalize whether the k weights of a row are made to sum to 1
   * @param experts I32 [T, k], largest weight first
   * @param weights F32 [T, k]
   */
  void route(Tensor logits, boolean renormalize, Tensor experts, Tensor weights);

  /**
   * Sorts choices by expert: a stable counting sort, so that rows of one expert keep their order.
   *
   * @param experts I32 [T, k]: expert of a choice, or -1 if another rank computes it
   * @param local I32 [E]: index of an expert among those of this rank, -1 if it is not here
   * @param into is filled
   */
  void groupByExpert(Tensor experts, Tensor local, ExpertGroups into);

  /**
   * The experts over their rows: {@code out[p] = expert(x[order[p] / k])} for every place p in use.
   *
   * @param x [T, H]
   * @param inner scratch of as many rows as out and, for each, twice the inner size of SwiGLU
   *     experts, once that of ReLU experts
   * @param out [T * k, H]
   */
  void experts(ExpertWeights weights, ExpertGroups groups, Tensor x, Tensor inner, Tensor out);

  /**
   * {@code out[t] = sum over ranks r of weights[t][r] * in[place[t][r]]}, r ascending, choices
   * without a place left out; zeros if none has one.
   *
   * @param in [T * k, H]
   * @param weights F32 [T, k]
   * @param out [T, H]
   */
  void combine(Tensor in, ExpertGroups groups, Tensor weights, Tensor out);

  /**
   * The end of one block and the beginning of the next: adds what {@link #combine} gives to x, then
   * {@link #rmsNorm} of x into normed.
   *
   * @param x [T, H], the residual stream
   * @param norm F32 [H], weight of the norm
   * @param normed [T, H]
   */
  default void combineAndNorm(
      Tensor in,
      ExpertGroups groups,
      Tensor weights,
      Tensor x,
      Tensor norm,
      double epsilon,
      Tensor normed) {
    combine(in, groups, weights, normed);
    add(normed, x);
    rmsNorm(x, norm, epsilon, normed);
  }

  // The end of a step

  /** {@code ids[t]} = index of the largest logit, the lowest of equal ones; logits F32 [T, V]. */
  void argmax(Tensor logits, Tensor ids);

  /**
   * Samples from {@code softmax(logits / temperature)} cut to the tokens of probability t or more,
   * t being the largest with which they sum to {@code topP} or more, so that equally likely tokens
   * stay or go together: the first kept token, in order of ids, at which the running sum exceeds
   * {@code uniform * sum of the kept}.
   *
   * @param logits F32 [T, V]
   * @param uniform F32 [T], in [0, 1), drawn by the host: so any device draws the same tokens
   * @param ids I32 [T]
   */
  void sample(Tensor logits, float temperature, float topP, Tensor uniform, Tensor ids);

  /** {@code log[step] = in}; step I32 [1], in of W elements, log [steps, W] of the same type. */
  void keep(Tensor in, Tensor step, Tensor log);

  /**
   * From a step to the next: {@code history[step] = ids}, then all positions, all of visible and
   * step grow by 1.
   *
   * @param ids I32 [T]
   * @param positions I32 [T]
   * @param visible I32 [T]
   * @param history I32 [steps, T]
   * @param step I32 [1]
   */
  void advance(Tensor ids, Tensor positions, Tensor visible, Tensor history, Tensor step);

  // What happened

  /** From here to the next mark, operations are part of this work; empty: of none. */
  void mark(String work);

  /** Waits, and hands over the spans between marks since the last call. */
  List<Timeline.Span> takeSpans();

  /** Frees all memory; nothing of the device may be used afterwards. */
  @Override
  void close();
}
