package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.Timeline;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A device without memory: adds up what is allocated, so that a model can be planned on it. */
final class DryDevice implements Device {
  private final int memory;
  private final DType weights;
  private final DType activations;
  private long bytes;
  private long hostBytes;

  /** Elements that are nowhere. */
  private record Shaped(DType type, List<Long> shape) implements Tensor {}

  /**
   * Opens a device.
   *
   * @param memory its number: devices of one memory share it
   * @param weights type of weights
   * @param activations type of activations
   */
  DryDevice(int memory, DType weights, DType activations) {
    this.memory = memory;
    this.weights = weights;
    this.activations = activations;
  }

  /** All that was allocated. */
  long bytes() {
    return bytes;
  }

  /** All that was allocated on the host. */
  long hostBytes() {
    return hostBytes;
  }

  @Override
  public String name() {
    return "dry:" + memory;
  }

  @Override
  public DType weightType() {
    return weights;
  }

  @Override
  public DType activationType() {
    return activations;
  }

  @Override
  public boolean sharesMemoryWith(Device other) {
    return other instanceof DryDevice dry && dry.memory == memory;
  }

  @Override
  public Tensor allocate(String name, DType elements, long... shape) {
    Tensor tensor = new Shaped(elements, Arrays.stream(shape).boxed().toList());
    bytes = Math.addExact(bytes, Math.max(1, tensor.bytes()));
    return tensor;
  }

  @Override
  public Tensor allocateOnHost(String name, DType elements, long... shape) {
    Tensor tensor = new Shaped(elements, Arrays.stream(shape).boxed().toList());
    hostBytes = Math.addExact(hostBytes, tensor.bytes());
    return tensor;
  }

  @Override
  public void store(Tensor tensor, Tensor onHost) {}

  @Override
  public Tensor rows(Tensor tensor, long first, long count) {
    List<Long> shape = new ArrayList<>(tensor.shape());
    shape.set(0, count);
    return new Shaped(tensor.type(), List.copyOf(shape));
  }

  @Override
  public Tensor reshape(Tensor tensor, long... shape) {
    return new Shaped(tensor.type(), Arrays.stream(shape).boxed().toList());
  }

  @Override
  public void load(TensorData values, Tensor into) {}

  @Override
  public void write(Tensor tensor, int... values) {}

  @Override
  public void write(Tensor tensor, float... values) {}

  @Override
  public int[] read(Tensor tensor) {
    throw new UnsupportedOperationException("A dry device holds nothing");
  }

  @Override
  public float[] readFloats(Tensor tensor) {
    throw new UnsupportedOperationException("A dry device holds nothing");
  }

  @Override
  public void synchronize() {}

  @Override
  public void mark(String work) {}

  @Override
  public List<Timeline.Span> takeSpans() {
    return List.of();
  }

  @Override
  public void close() {}

  @Override
  public void embed(Tensor ids, Tensor table, float scale, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void addRows(Tensor table, Tensor index, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void gatherRows(Tensor in, Tensor index, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void scatterAdd(Tensor in, Tensor index, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void add(Tensor x, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void addBias(Tensor bias, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void relu(Tensor x) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void rmsNorm(Tensor x, Tensor weight, double epsilon, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void linear(Tensor x, Tensor weight, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void linearAdd(Tensor x, Tensor weight, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void rotary(Tensor x, Tensor frequency, Tensor positions) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void append(Tensor in, Tensor slots, Tensor positions, Tensor cache) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void attention(
      Tensor q, Tensor keys, Tensor values, Batch batch, int headSize, float scale, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void route(Tensor logits, boolean renormalize, Tensor experts, Tensor weights) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void groupByExpert(Tensor experts, Tensor local, ExpertGroups into) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void experts(
      ExpertWeights weights, ExpertGroups groups, Tensor x, Tensor inner, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void combine(Tensor in, ExpertGroups groups, Tensor weights, Tensor out) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void argmax(Tensor logits, Tensor ids) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void sample(Tensor logits, float temperature, float topP, Tensor uniform, Tensor ids) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void keep(Tensor in, Tensor step, Tensor log) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void advance(Tensor ids, Tensor positions, Tensor visible, Tensor history, Tensor step) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }

  @Override
  public void receive(Device sender, Tensor from, Tensor into) {
    throw new UnsupportedOperationException("A dry device computes nothing");
  }
}
