package io.expertatlas.runtime;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The slow and obvious device that others are tested against: doubles on the heap, one loop for
 * each formula of {@link Device}.
 */
public final class ReferenceDevice implements Device {
  /** A view of shared values. */
  private record Values(DType type, List<Long> shape, double[] data, int first) implements Tensor {
    double at(long i) {
      return data[(int) (first + i)];
    }

    void put(long i, double value) {
      data[(int) (first + i)] = type == DType.F32 ? (float) value : value;
    }
  }

  private static Values of(Tensor tensor) {
    return (Values) tensor;
  }

  private static int index(Tensor tensor, long i) {
    return (int) of(tensor).at(i);
  }

  @Override
  public String name() {
    return "reference";
  }

  @Override
  public DType weightType() {
    return DType.F32;
  }

  @Override
  public DType activationType() {
    return DType.F32;
  }

  @Override
  public boolean sharesMemoryWith(Device other) {
    return other instanceof ReferenceDevice;
  }

  @Override
  public Tensor allocate(String name, DType type, long... shape) {
    long elements = Arrays.stream(shape).reduce(1, Math::multiplyExact);
    return new Values(type, Arrays.stream(shape).boxed().toList(), new double[(int) elements], 0);
  }

  @Override
  public Tensor rows(Tensor tensor, long first, long count) {
    Values whole = of(tensor);
    List<Long> shape = new ArrayList<>(whole.shape());
    shape.set(0, count);
    return new Values(
        whole.type(),
        List.copyOf(shape),
        whole.data(),
        (int) (whole.first() + first * whole.width()));
  }

  @Override
  public Tensor reshape(Tensor tensor, long... shape) {
    return new Values(
        tensor.type(),
        Arrays.stream(shape).boxed().toList(),
        of(tensor).data(),
        of(tensor).first());
  }

  @Override
  public void load(TensorData values, Tensor into) {
    for (int i = 0; i < values.elements(); i++) {
      ByteBuffer one = ByteBuffer.allocate(values.type().bytes()).order(ByteOrder.LITTLE_ENDIAN);
      values.read(i, one);
      of(into)
          .put(
              i,
              values.type() == DType.F32
                  ? one.getFloat(0)
                  : Float.intBitsToFloat(one.getShort(0) << 16));
    }
  }

  @Override
  public void write(Tensor tensor, int... values) {
    IntStream.range(0, values.length).forEach(i -> of(tensor).put(i, values[i]));
  }

  @Override
  public void write(Tensor tensor, float... values) {
    IntStream.range(0, values.length).forEach(i -> of(tensor).put(i, values[i]));
  }

  @Override
  public int[] read(Tensor tensor) {
    return IntStream.range(0, (int) tensor.elements()).map(i -> index(tensor, i)).toArray();
  }

  @Override
  public float[] readFloats(Tensor tensor) {
    float[] values = new float[(int) tensor.elements()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) of(tensor).at(i);
    }

    return values;
  }

  @Override
  public void synchronize() {}

  @Override
  public void receive(Device sender, Tensor from, Tensor into) {
    for (int i = 0; i < into.elements(); i++) {
      of(into).put(i, of(from).at(i));
    }
  }

  @Override
  public void embed(Tensor ids, Tensor table, float scale, Tensor out) {
    each(out, (t, i) -> of(out).put(t * out.width() + i, scale * row(table, index(ids, t), i)));
  }

  @Override
  public void addRows(Tensor table, Tensor index, Tensor out) {
    each(
        out,
        (t, i) ->
            of(out).put(t * out.width() + i, row(out, t, i) + row(table, index(index, t), i)));
  }

  @Override
  public void gatherRows(Tensor in, Tensor index, Tensor out) {
    embed(index, in, 1, out);
  }

  @Override
  public void scatterAdd(Tensor in, Tensor index, Tensor out) {
    each(
        in,
        (n, i) -> {
          int to = index(index, n);
          of(out).put(to * out.width() + i, row(out, to, i) + row(in, n, i));
        });
  }

  @Override
  public void add(Tensor x, Tensor out) {
    each(out, (t, i) -> of(out).put(t * out.width() + i, row(out, t, i) + row(x, t, i)));
  }

  @Override
  public void addBias(Tensor bias, Tensor out) {
    each(out, (t, i) -> of(out).put(t * out.width() + i, row(out, t, i) + of(bias).at(i)));
  }

  @Override
  public void relu(Tensor x) {
    each(x, (t, i) -> of(x).put(t * x.width() + i, Math.max(0, row(x, t, i))));
  }

  @Override
  public void rmsNorm(Tensor x, Tensor weight, double epsilon, Tensor out) {
    for (long t = 0; t < x.size(0); t++) {
      double squares = 0;
      for (long i = 0; i < x.width(); i++) {
        squares += row(x, t, i) * row(x, t, i);
      }

      double factor = 1 / Math.sqrt(squares / x.width() + epsilon);
      for (long i = 0; i < x.width(); i++) {
        of(out).put(t * x.width() + i, row(x, t, i) * factor * of(weight).at(i));
      }
    }
  }

  @Override
  public void layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon, Tensor out) {
    for (long t = 0; t < x.size(0); t++) {
      double mean = 0;
      double variance = 0;
      for (long i = 0; i < x.width(); i++) {
        mean += row(x, t, i) / x.width();
      }

      for (long i = 0; i < x.width(); i++) {
        variance += Math.pow(row(x, t, i) - mean, 2) / x.width();
      }

      for (long i = 0; i < x.width(); i++) {
        double normed = (row(x, t, i) - mean) / Math.sqrt(variance + epsilon);
        of(out).put(t * x.width() + i, normed * of(weight).at(i) + of(bias).at(i));
      }
    }
  }

  @Override
  public void linear(Tensor x, Tensor weight, Tensor out) {
    each(out, (t, o) -> of(out).put(t * out.width() + o, product(x, t, weight, o)));
  }

  @Override
  public void linearAdd(Tensor x, Tensor weight, Tensor out) {
    each(
        out, (t, o) -> of(out).put(t * out.width() + o, row(out, t, o) + product(x, t, weight, o)));
  }

  private static double product(Tensor x, long t, Tensor weight, long o) {
    double sum = 0;
    for (long i = 0; i < x.width(); i++) {
      sum += row(x, t, i) * row(weight, o, i);
    }

    return sum;
  }

  @Override
  public void rotary(Tensor x, Tensor frequency, Tensor positions) {
    long half = frequency.elements();
    for (long t = 0; t < x.size(0); t++) {
      for (long head = 0; head < x.width(); head += 2 * half) {
        for (long i = 0; i < half; i++) {
          double angle = index(positions, t) * of(frequency).at(i);
          double a = row(x, t, head + i);
          double b = row(x, t, head + half + i);
          of(x).put(t * x.width() + head + i, a * Math.cos(angle) - b * Math.sin(angle));
          of(x).put(t * x.width() + head + half + i, b * Math.cos(angle) + a * Math.sin(angle));
        }
      }
    }
  }

  @Override
  public void append(Tensor in, Tensor slots, Tensor positions, Tensor cache) {
    each(
        in,
        (t, i) ->
            of(cache)
                .put(
                    (index(slots, t) * cache.size(1) + index(positions, t)) * in.width() + i,
                    row(in, t, i)));
  }

  @Override
  public void attention(
      Tensor q, Tensor keys, Tensor values, Batch batch, int headSize, float scale, Tensor out) {
    long perKey = q.width() / keys.size(2);
    for (long t = 0; t < q.size(0); t++) {
      int visible = index(batch.visible(), t);
      long slot = index(batch.slots(), t) * keys.size(1);
      for (long head = 0; head < q.width() / headSize; head++) {
        long keyHead = head / perKey * headSize;
        double[] weights = new double[visible];
        for (int j = 0; j < visible; j++) {
          for (long d = 0; d < headSize; d++) {
            weights[j] +=
                scale
                    * row(q, t, head * headSize + d)
                    * of(keys).at((slot + j) * keys.size(2) + keyHead + d);
          }
        }

        softmax(weights);
        for (long d = 0; d < headSize; d++) {
          double sum = 0;
          for (int j = 0; j < visible; j++) {
            sum += weights[j] * of(values).at((slot + j) * keys.size(2) + keyHead + d);
          }

          of(out).put(t * q.width() + head * headSize + d, sum);
        }
      }
    }
  }

  private static void softmax(double[] values) {
    double max = Arrays.stream(values).max().orElse(0);
    double sum = 0;
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.exp(values[i] - max);
      sum += values[i];
    }

    for (int i = 0; i < values.length; i++) {
      values[i] /= sum;
    }
  }

  @Override
  public void route(Tensor logits, boolean renormalize, Tensor experts, Tensor weights) {
    int k = (int) experts.width();
    for (long t = 0; t < logits.size(0); t++) {
      long at = t;
      double[] p =
          IntStream.range(0, (int) logits.width()).mapToDouble(e -> row(logits, at, e)).toArray();
      softmax(p);
      int[] order =
          IntStream.range(0, p.length)
              .boxed()
              .sorted(
                  (a, b) ->
                      row(logits, at, a) == row(logits, at, b)
                          ? a - b
                          : Double.compare(row(logits, at, b), row(logits, at, a)))
              .mapToInt(e -> e)
              .toArray();
      double sum = IntStream.range(0, k).mapToDouble(r -> p[order[r]]).sum();
      for (int r = 0; r < k; r++) {
        of(experts).put(t * k + r, order[r]);
        of(weights).put(t * k + r, p[order[r]] / (renormalize ? sum : 1));
      }
    }
  }

  @Override
  public void groupByExpert(Tensor experts, Tensor local, ExpertGroups into) {
    int place = 0;
    for (int e = 0; e < into.offsets().elements() - 1; e++) {
      of(into.offsets()).put(e, place);
      for (int choice = 0; choice < experts.elements(); choice++) {
        int expert = index(experts, choice);
        if (expert >= 0 && index(local, expert) == e) {
          of(into.order()).put(place, choice);
          of(into.place()).put(choice, place++);
        }
      }
    }

    of(into.offsets()).put(into.offsets().elements() - 1, place);
    for (int choice = 0; choice < experts.elements(); choice++) {
      int expert = index(experts, choice);
      if (expert < 0 || index(local, expert) < 0) {
        of(into.place()).put(choice, -1);
      }
    }
  }

  @Override
  public void experts(
      ExpertWeights weights, ExpertGroups groups, Tensor x, Tensor inner, Tensor out) {
    long k = groups.place().width();
    for (int e = 0; e < weights.experts(); e++) {
      for (int p = index(groups.offsets(), e); p < index(groups.offsets(), e + 1); p++) {
        Tensor row = rows(x, index(groups.order(), p) / k, 1);
        Tensor result = rows(out, p, 1);
        Tensor up = allocate("up", DType.F32, 1, weights.inner());
        if (weights instanceof ExpertWeights.Swiglu swiglu) {
          Tensor gate = allocate("gate", DType.F32, 1, weights.inner());
          linear(row, matrix(swiglu.gate(), e), gate);
          linear(row, matrix(swiglu.up(), e), up);
          for (int i = 0; i < weights.inner(); i++) {
            double g = of(gate).at(i);
            of(up).put(i, g / (1 + Math.exp(-g)) * of(up).at(i));
          }

          linear(up, matrix(swiglu.down(), e), result);
        } else if (weights instanceof ExpertWeights.Relu relu) {
          linear(row, matrix(relu.up(), e), rows(relu.upBias(), e, 1), up);
          relu(up);
          linear(up, matrix(relu.down(), e), rows(relu.downBias(), e, 1), result);
        }
      }
    }
  }

  private Tensor matrix(Tensor stack, int e) {
    return reshape(rows(stack, e, 1), stack.size(1), stack.size(2));
  }

  @Override
  public void combine(Tensor in, ExpertGroups groups, Tensor weights, Tensor out) {
    long k = groups.place().width();
    each(
        out,
        (t, i) -> {
          double sum = 0;
          for (long r = 0; r < k; r++) {
            int place = index(groups.place(), t * k + r);
            sum += place < 0 ? 0 : of(weights).at(t * k + r) * row(in, place, i);
          }

          of(out).put(t * out.width() + i, sum);
        });
  }

  @Override
  public void argmax(Tensor logits, Tensor ids) {
    for (long t = 0; t < logits.size(0); t++) {
      int best = 0;
      for (int v = 0; v < logits.width(); v++) {
        best = row(logits, t, v) > row(logits, t, best) ? v : best;
      }

      of(ids).put(t, best);
    }
  }

  @Override
  public void sample(Tensor logits, float temperature, float topP, Tensor uniform, Tensor ids) {
    for (long t = 0; t < logits.size(0); t++) {
      long at = t;
      double[] p =
          IntStream.range(0, (int) logits.width())
              .mapToDouble(v -> row(logits, at, v) / temperature)
              .toArray();
      softmax(p);
      double cut =
          Arrays.stream(p)
              .filter(c -> topP >= 1 || Arrays.stream(p).filter(w -> w >= c).sum() >= topP)
              .max()
              .orElse(0);
      double least = topP >= 1 ? 0 : cut;
      double kept = Arrays.stream(p).filter(w -> w >= least).sum();
      double running = 0;
      int chosen = -1;
      while (running <= of(uniform).at(t) * kept) {
        chosen++;
        running += p[chosen] >= least ? p[chosen] : 0;
      }

      of(ids).put(t, chosen);
    }
  }

  @Override
  public void keep(Tensor in, Tensor step, Tensor log) {
    for (int i = 0; i < in.elements(); i++) {
      of(log).put(index(step, 0) * in.elements() + i, of(in).at(i));
    }
  }

  @Override
  public void advance(Tensor ids, Tensor positions, Tensor visible, Tensor history, Tensor step) {
    for (int t = 0; t < ids.elements(); t++) {
      of(history).put(index(step, 0) * ids.elements() + t, index(ids, t));
      of(positions).put(t, index(positions, t) + 1);
      of(visible).put(t, index(visible, t) + 1);
    }

    of(step).put(0, index(step, 0) + 1);
  }

  @Override
  public void mark(String work) {}

  @Override
  public List<Timeline.Span> takeSpans() {
    return List.of();
  }

  @Override
  public void close() {}

  private interface Cell {
    void at(long row, long column);
  }

  private static void each(Tensor tensor, Cell cell) {
    for (long t = 0; t < tensor.size(0); t++) {
      for (long i = 0; i < tensor.width(); i++) {
        cell.at(t, i);
      }
    }
  }

  private static double row(Tensor tensor, long t, long i) {
    return of(tensor).at(t * tensor.width() + i);
  }
}
