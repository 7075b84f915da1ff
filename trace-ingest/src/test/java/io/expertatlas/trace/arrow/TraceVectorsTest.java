package io.expertatlas.trace.arrow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.Traces;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class TraceVectorsTest {
  private static final List<String> ALL =
      List.of("sequence", "position", "phase", "experts", "weights", "_token");

  @AfterEach
  void allMemoryIsFree() {
    assertThat(TraceVectors.allocatedBytes()).isZero();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void vectorsHoldTheTokensBatchAfterBatch(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    RoutingTrace trace = Traces.random(seed, true);
    ModelShape shape = trace.shape();
    int topK = shape.topK();
    int layer = random.nextInt(shape.layers());
    LayerSelection layers = LayerSelection.parse("0," + layer, shape);
    int capacity = 1 + random.nextInt(50);
    try (TraceVectors vectors = new TraceVectors("test", ALL, shape, layers, capacity)) {
      for (int first = 0; first < trace.tokens(); first += vectors.tokens()) {
        vectors.clear();
        int middle = Math.min(trace.tokens(), first + random.nextInt(capacity + 1));
        vectors.append(trace, 1L << 33, first, middle);
        vectors.append(
            trace,
            1L << 33,
            middle,
            Math.min(trace.tokens(), Math.max(first + 1, middle + vectors.room())));
        for (int token = 0; token < vectors.tokens(); token++) {
          List<Object> found = new ArrayList<>();
          for (var vector : vectors.vectors()) {
            found.add(vector.getObject(token));
          }

          List<Object> experts = new ArrayList<>();
          List<Object> weights = new ArrayList<>();
          for (int l : layer == 0 ? new int[] {0} : new int[] {0, layer}) {
            for (int rank = 0; rank < topK; rank++) {
              experts.add((short) trace.expert(first + token, l, rank));
              weights.add(trace.weight(first + token, l, rank));
            }
          }

          assertThat(found)
              .isEqualTo(
                  List.of(
                      trace.sequence(first + token),
                      trace.position(first + token),
                      (byte) trace.phase(first + token).code(),
                      experts,
                      weights,
                      (1L << 33) + first + token));
        }
      }
    }
  }

  @Test
  void aBatchHasItsLimit() {
    ModelShape shape = new ModelShape(1, 2, 1);
    RoutingTrace trace = RoutingTrace.ofExperts(shape, new short[] {0, 1, 0});
    try (TraceVectors vectors =
        new TraceVectors("test", ALL, shape, LayerSelection.all(shape), 2)) {
      assertThatThrownBy(() -> vectors.append(trace, 0, 0, 3))
          .hasMessage("Cannot append 3 tokens: room for 2");
      assertThatThrownBy(() -> vectors.append(trace, 0, 0, 2))
          .hasMessage("The trace has no router weights");
    }
  }

  @Test
  void unknownColumnsLeaveNoMemory() {
    ModelShape shape = new ModelShape(1, 2, 1);

    assertThatThrownBy(
            () ->
                new TraceVectors(
                    "test", List.of("experts", "token"), shape, LayerSelection.all(shape), 2))
        .hasMessage("Unknown column: token");
  }
}
