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
  private final List<Routes> kept = new ArrayList<>();

  /** A row of the trace: a token of some routes. */
  private record Row(Routes routes, int token) {
    int sequence() {
      return routes.step().number(token);
    }

    int position() {
      return routes.step().position(token);
    }
  }

  RouteRecorder(ModelShape shape, boolean keepsRoutes) {
    this.expertTokens = new long[shape.layers()][shape.experts()];
    this.keepsRoutes = keepsRoutes;
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
      kept.add(routes);
    }
  }

  /** Choices of each expert, {@code [layer][expert]}. */
  long[][] expertTokens() {
    return expertTokens;
  }

  /** The tokens that went through the stack whose first MoE layer this is, in order of sequence. */
  RoutingTrace trace(int firstLayer, ModelShape stack) {
    List<Row> rows = new ArrayList<>();
    for (Routes one : kept) {
      if (one.firstLayer() == firstLayer) {
        IntStream.range(0, one.step().tokens()).forEach(token -> rows.add(new Row(one, token)));
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
      Routes routes = row.routes();
      routes.copy(row.token(), experts, weights, i * width);
      sequence[i] = row.sequence();
      position[i] = row.position();
      phase[i] = (byte) routes.step().phase().code();
    }

    return RoutingTrace.of(stack, experts, weights, sequence, position, phase);
  }
}
