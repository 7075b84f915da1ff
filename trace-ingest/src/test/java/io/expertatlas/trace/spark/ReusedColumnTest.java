package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.Traces;
import io.expertatlas.trace.arrow.TraceVectors;
import java.util.List;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ReusedColumnTest {
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void readsWhatSparksOwnColumnReads(long seed) {
    RoutingTrace trace = Traces.random(seed, true);
    LayerSelection layers = LayerSelection.all(trace.shape());
    int width = layers.choicesPerToken();
    List<String> names = List.of("sequence", "phase", "_token", "experts", "weights");
    try (TraceVectors vectors =
        new TraceVectors("test", names, trace.shape(), layers, trace.tokens() + 1)) {
      vectors.append(trace, 7, 0, trace.tokens());
      List<ArrowColumnVector> twins =
          vectors.vectors().stream().map(ArrowColumnVector::new).toList();
      List<ReusedColumn> columns =
          vectors.vectors().stream().map(vector -> new ReusedColumn(vector, width)).toList();
      for (int token = 0; token < trace.tokens(); token++) {
        assertThat(columns.get(0).getInt(token)).isEqualTo(twins.get(0).getInt(token));
        assertThat(columns.get(1).getByte(token)).isEqualTo(twins.get(1).getByte(token));
        assertThat(columns.get(2).getLong(token)).isEqualTo(twins.get(2).getLong(token));
        assertThat(columns.get(3).getArray(token).toShortArray())
            .isEqualTo(twins.get(3).getArray(token).toShortArray());
        assertThat(columns.get(4).getArray(token).toFloatArray())
            .isEqualTo(twins.get(4).getArray(token).toFloatArray());
        assertThat(columns.get(3).isNullAt(token)).isFalse();
      }
    }
  }

  /** Why experts are a list and not a fixed-size list: Spark reads only the former. */
  @Test
  void sparkReadsNoFixedSizeLists() {
    try (RootAllocator allocator = new RootAllocator();
        FixedSizeListVector vector = FixedSizeListVector.empty("experts", 2, allocator)) {
      assertThatThrownBy(() -> new ArrowColumnVector(vector))
          .isInstanceOf(UnsupportedOperationException.class);
    }
  }
}
