package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.model.Routes;
import io.expertatlas.runtime.model.RunObserver;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Counts the tokens of each expert and, if asked to, keeps all routes. */
final class RouteRecorder implements RunObserver {
  private final long[][] expertTokens; // [layer][expert]
  private final boolean keepsRoutes;
  private final List<Kept> kept = new ArrayList<>();
  private int firstSequence;

  /** Routes, and the number of their sequence 0 in the whole run. */
  private record Kept(Routes routes, int firstSequence) {}

  /** A row of the trace: a token of some routes. */
  private record Row(Kept from, int token) {
    int sequence() {
      return from.firstSequence() + from.routes().step().sequence(token);
    }

    int position() {
      return from.routes().step().position(token);
    }
  }

  RouteRecorder(ModelShape shape, boolean keepsRoutes) {
    this.expertTokens = new long[shape.layers()][shape.experts()];
    this.keepsRoutes = keepsRoutes;
  }

  /** The next sequences of the model are these of the run. */
  void startAt(int sequence) {
    firstSequence = sequence;
  }

  @Override
  public void routed(Routes routes) {
    short[] experts = routes.experts();
    int width = routes.shape().choicesPerToken();
    for (int i = 0; i < experts.length; i++) {
      int layer = routes.firstLayer() + i % width / routes.shape().topK();
      expertTokens[layer][experts[i] & 0xffff]++;
    }

    if (keepsRoutes) {
      kept.add(new Kept(routes, firstSequence));
    }
  }

  /** Choices of each expert, {@code [layer][expert]}. */
  long[][] expertTokens() {
    return expertTokens;
  }

  /** The tokens that went through the stack whose first MoE layer this is, in order of sequence. */
  RoutingTrace trace(int firstLayer, ModelShape stack) {
    List<Row> rows = new ArrayList<>();
    for (Kept one : kept) {
      if (one.routes().firstLayer() == firstLayer) {
        IntStream.range(0, one.routes().step().tokens())
            .forEach(token -> rows.add(new Row(one, token)));
      }
    }

    rows.sort(Comparator.comparingInt(Row::sequence).thenComparingInt(Row::position));
    int width = stack.choicesPerToken();
    short[] experts = new short[Math.multiplyExact(rows.size(), width)];
    float[] weights = new float[experts.length];
    int[] sequence = new int[rows.size()];
    int[] position = new int[rows.size()];
    byte[] phase = new byte[rows.size()];
    for (int i = 0; i < rows.size(); i++) {
      Row row = rows.get(i);
      Routes routes = row.from().routes();
      routes.copy(row.token(), experts, weights, i * width);
      sequence[i] = row.sequence();
      position[i] = row.position();
      phase[i] = (byte) routes.step().phase().code();
    }

    return RoutingTrace.of(stack, experts, weights, sequence, position, phase);
  }
}
