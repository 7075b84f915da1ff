package io.expertatlas.trace;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;

/** Traces for tests, and what is in them. */
public final class Traces {
  private Traces() {}

  /** Everything that a reader gives from here on, as one trace. */
  public static RoutingTrace readAll(TraceReader reader) {
    List<RoutingTrace> batches = new ArrayList<>();
    for (Optional<RoutingTrace> next = reader.next(); next.isPresent(); next = reader.next()) {
      batches.add(next.get());
    }

    return concat(reader.shape(), reader.hasWeights(), batches);
  }

  /** Traces of one shape, one after the other. */
  public static RoutingTrace concat(ModelShape shape, boolean weights, List<RoutingTrace> traces) {
    int tokens = traces.stream().mapToInt(RoutingTrace::tokens).sum();
    int width = shape.choicesPerToken();
    short[] experts = new short[tokens * width];
    float[] weight = new float[weights ? tokens * width : 0];
    int[] sequence = new int[tokens];
    int[] position = new int[tokens];
    byte[] phase = new byte[tokens];
    int at = 0;
    for (RoutingTrace trace : traces) {
      for (int token = 0; token < trace.tokens(); token++, at++) {
        sequence[at] = trace.sequence(token);
        position[at] = trace.position(token);
        phase[at] = (byte) trace.phase(token).code();
        for (int i = 0; i < width; i++) {
          int layer = i / shape.topK();
          int rank = i % shape.topK();
          experts[at * width + i] = (short) trace.expert(token, layer, rank);
          if (weights) {
            weight[at * width + i] = trace.weight(token, layer, rank);
          }
        }
      }
    }

    return RoutingTrace.of(shape, experts, weight, sequence, position, phase);
  }

  /** Expert ids of a trace, {@code [token][layer][rank]}. */
  public static int[] choices(RoutingTrace trace) {
    ModelShape shape = trace.shape();
    int width = shape.choicesPerToken();
    int[] ids = new int[trace.tokens() * width];
    Arrays.setAll(
        ids,
        i -> trace.expert(i / width, i % width / shape.topK(), i % width % shape.topK()));
    return ids;
  }

  /** A trace as text, a line for each token, in which two differ if anything in them does. */
  public static String describe(RoutingTrace trace) {
    StringBuilder text = new StringBuilder(trace.shape().toString()).append('\n');
    for (int token = 0; token < trace.tokens(); token++) {
      text.append(trace.sequence(token)).append('@').append(trace.position(token));
      text.append(' ').append(trace.phase(token)).append(':');
      for (int layer = 0; layer < trace.shape().layers(); layer++) {
        text.append(" |");
        for (int rank = 0; rank < trace.shape().topK(); rank++) {
          text.append(' ').append(trace.expert(token, layer, rank));
          if (trace.hasWeights()) {
            text.append('*').append(trace.weight(token, layer, rank));
          }
        }
      }

      text.append('\n');
    }

    return text.toString();
  }

  /** A random valid trace: any shape, sequences that interleave, phases, maybe weights. */
  public static RoutingTrace random(long seed, boolean weights) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = random.nextInt(4) == 0 ? 1 : 1 + random.nextInt(300);
    int topK = 1 + random.nextInt(Math.min(experts, 9));
    ModelShape shape = new ModelShape(1 + random.nextInt(7), experts, topK);
    int tokens = random.nextInt(5) == 0 ? random.nextInt(2) : random.nextInt(400);
    int width = shape.choicesPerToken();
    short[] ids = new short[tokens * width];
    for (int i = 0; i < ids.length; i += topK) {
      int start = random.nextInt(experts);
      int step = 1 + random.nextInt(Math.max(1, experts / topK));
      for (int rank = 0; rank < topK; rank++) {
        ids[i + rank] = (short) ((start + rank * Math.min(step, experts / topK)) % experts);
      }
    }

    float[] weight = new float[weights ? ids.length : 0];
    for (int i = 0; i < weight.length; i++) {
      weight[i] = random.nextInt(2049) / 2048f; // exact as float16
    }

    int[] sequence = new int[tokens];
    int[] position = new int[tokens];
    byte[] phase = new byte[tokens];
    int[] next = new int[5];
    for (int token = 0; token < tokens; token++) {
      int s = random.nextInt(5);
      sequence[token] = s * 1_000_003;
      position[token] = next[s]++;
      phase[token] = (byte) random.nextInt(2);
    }

    return RoutingTrace.of(shape, ids, weight, sequence, position, phase);
  }
}
