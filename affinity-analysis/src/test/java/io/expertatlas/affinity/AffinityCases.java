package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Consumer;

/** Traces of odd shapes, and a reader of traces in memory. */
public final class AffinityCases {
  private AffinityCases() {}

  /** A small trace whose shape, length, weights and affinity depend on the seed. */
  public static RoutingTrace trace(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = seed % 7 == 0 ? 1 : seed % 50 == 9 ? 300 : 1 + random.nextInt(20);
    int topK = seed % 3 == 0 ? experts : 1 + random.nextInt(Math.min(experts, 8));
    int layers = seed % 5 == 0 ? 1 : 1 + random.nextInt(5);
    int tokens = seed % 11 == 0 ? 0 : random.nextInt(experts > 100 ? 4 : 200);
    ModelShape shape = new ModelShape(layers, experts, topK);
    RoutingTrace trace = SyntheticTrace.draw(shape, tokens, 7, random.nextDouble(), seed);
    return seed % 2 == 0 ? weighted(trace, random) : trace;
  }

  /** The same trace with router weights. */
  public static RoutingTrace weighted(RoutingTrace trace, SplittableRandom random) {
    ModelShape shape = trace.shape();
    short[] experts = new short[trace.tokens() * shape.choicesPerToken()];
    float[] weights = new float[experts.length];
    int[] sequence = new int[trace.tokens()];
    int[] position = new int[trace.tokens()];
    int at = 0;
    for (int t = 0; t < trace.tokens(); t++) {
      sequence[t] = trace.sequence(t);
      position[t] = trace.position(t);
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          experts[at] = (short) trace.expert(t, layer, rank);
          weights[at++] = (float) random.nextDouble();
        }
      }
    }

    return RoutingTrace.of(shape, experts, weights, sequence, position, new byte[trace.tokens()]);
  }

  /** The same trace without router weights. */
  public static RoutingTrace unweighted(RoutingTrace trace) {
    ModelShape shape = trace.shape();
    short[] experts = new short[trace.tokens() * shape.choicesPerToken()];
    int[] sequence = new int[trace.tokens()];
    int at = 0;
    for (int t = 0; t < trace.tokens(); t++) {
      sequence[t] = trace.sequence(t);
      for (int choice = 0; choice < shape.choicesPerToken(); choice++) {
        int layer = choice / shape.topK();
        experts[at++] = (short) trace.expert(t, layer, choice % shape.topK());
      }
    }

    return RoutingTrace.of(
        shape,
        experts,
        new float[0],
        sequence,
        new int[sequence.length],
        new byte[sequence.length]);
  }

  /** The trace with its tokens permuted independently in each layer. */
  public static RoutingTrace shuffled(RoutingTrace trace, long seed) {
    ModelShape shape = trace.shape();
    int width = shape.choicesPerToken();
    short[] experts = new short[trace.tokens() * width];
    SplittableRandom random = new SplittableRandom(seed);
    for (int layer = 0; layer < shape.layers(); layer++) {
      int[] from = new int[trace.tokens()];
      for (int t = 0; t < from.length; t++) {
        int swap = random.nextInt(t + 1);
        from[t] = from[swap];
        from[swap] = t;
      }

      for (int t = 0; t < from.length; t++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          experts[t * width + layer * shape.topK() + rank] =
              (short) trace.expert(from[t], layer, rank);
        }
      }
    }

    return RoutingTrace.ofExperts(shape, experts);
  }

  /** The counts of a trace in memory. */
  public static RouteCounts count(RoutingTrace trace) {
    return InMemoryEstimator.count(reader(trace, 64));
  }

  /** Writes the experts as an .npy file of 16-bit ids, {@code [token][layer][rank]}. */
  public static void writeNpy(RoutingTrace trace, Path file) throws IOException {
    ModelShape shape = trace.shape();
    writeNpy(
        file,
        "<u2",
        "(%d, %d, %d)".formatted(trace.tokens(), shape.layers(), shape.topK()),
        trace.tokens() * shape.choicesPerToken() * 2,
        data -> {
          for (int t = 0; t < trace.tokens(); t++) {
            for (int choice = 0; choice < shape.choicesPerToken(); choice++) {
              int layer = choice / shape.topK();
              data.putShort((short) trace.expert(t, layer, choice % shape.topK()));
            }
          }
        });
  }

  /** Writes the sequence ids as an .npy file. */
  public static void writeSequences(RoutingTrace trace, Path file) throws IOException {
    writeNpy(
        file,
        "<i4",
        "(%d,)".formatted(trace.tokens()),
        trace.tokens() * 4,
        data -> {
          for (int t = 0; t < trace.tokens(); t++) {
            data.putInt(trace.sequence(t));
          }
        });
  }

  private static void writeNpy(
      Path file, String type, String shape, int bytes, Consumer<ByteBuffer> content)
      throws IOException {
    String header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }".formatted(type, shape);
    header = header + " ".repeat(63 - (10 + header.length()) % 64) + "\n";
    ByteBuffer data =
        ByteBuffer.allocate(10 + header.length() + bytes).order(ByteOrder.LITTLE_ENDIAN);
    data.put((byte) 0x93).put("NUMPY\1\0".getBytes(StandardCharsets.ISO_8859_1));
    data.putShort((short) header.length()).put(header.getBytes(StandardCharsets.ISO_8859_1));
    content.accept(data);
    Files.write(file, data.array());
  }

  /** A reader that gives the trace in batches. */
  public static TraceReader reader(RoutingTrace trace, int batch) {
    List<RoutingTrace> batches = new ArrayList<>();
    for (int from = 0; from < trace.tokens(); from += batch) {
      batches.add(trace.slice(from, Math.min(trace.tokens(), from + batch)));
    }

    Iterator<RoutingTrace> rest = batches.iterator();
    return new TraceReader() {
      @Override
      public ModelShape shape() {
        return trace.shape();
      }

      @Override
      public long tokens() {
        return trace.tokens();
      }

      @Override
      public boolean hasWeights() {
        return trace.hasWeights();
      }

      @Override
      public Optional<RoutingTrace> next() {
        return rest.hasNext() ? Optional.of(rest.next()) : Optional.empty();
      }

      @Override
      public void close() {}
    };
  }
}
