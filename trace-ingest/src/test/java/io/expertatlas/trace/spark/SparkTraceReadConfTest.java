package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.TokenRange;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import org.junit.jupiter.api.Test;

class SparkTraceReadConfTest {
  private static final ModelShape SHAPE = new ModelShape(5, 8, 2);

  private static SparkTraceReadConf conf(Map<String, String> options) {
    return new SparkTraceReadConf(new CaseInsensitiveStringMap(options));
  }

  @Test
  void defaults() {
    SparkTraceReadConf conf = conf(Map.of("path", "/x"));

    assertThat(conf.format()).isEmpty();
    assertThat(conf.experts()).isEmpty();
    assertThat(conf.sequenceFile()).isEmpty();
    assertThat(conf.positionFile()).isEmpty();
    assertThat(conf.tokens()).isEqualTo(TokenRange.ALL);
    assertThat(conf.layers(SHAPE).isAll()).isTrue();
    assertThat(conf.splitTokens(1_000_000, 10, 4)).isEqualTo(250_000);
    assertThat(conf.splitTokens(1_000, 10, 4)).isEqualTo(16_384);
    assertThat(conf.splitTokens(1L << 40, 1 << 10, 4)).isEqualTo(1 << 16);
    assertThat(conf.batchTokens(24, 0)).isEqualTo(4_096);
    assertThat(conf.batchTokens(488, 0)).isEqualTo(268);
    assertThat(conf.batchTokens(1 << 20, 0)).isEqualTo(64);
  }

  @Test
  void everyKeyIsMapped() {
    Map<String, String> options = new TreeMap<>();
    options.put("path", "/x");
    options.put("format", "npy");
    options.put("experts", "8");
    options.put("sequence-file", "/s");
    options.put("position-file", "/p");
    options.put("tokens", "3:9");
    options.put("layers", "0,2:4");
    options.put("split-tokens", "77");
    options.put("batch-tokens", "11");
    assertThat(options.keySet())
        .containsExactlyInAnyOrderElementsOf(
            SparkTraceReadConf.KEYS.stream().filter(key -> !key.endsWith(".")).toList());
    options.put("format-option.top-k", "3");

    SparkTraceReadConf conf = conf(options);

    assertThat(conf.path()).isEqualTo("/x");
    assertThat(conf.format()).isEqualTo("npy");
    assertThat(conf.formatOptions().entries()).containsExactly("top-k=3");
    assertThat(conf.experts()).hasValue(8);
    assertThat(conf.sequenceFile()).isEqualTo("/s");
    assertThat(conf.positionFile()).isEqualTo("/p");
    assertThat(conf.tokens()).isEqualTo(new TokenRange(3, 9));
    assertThat(conf.layers(SHAPE)).hasToString("0,2:4");
    assertThat(conf.splitTokens(1_000_000, 10, 4)).isEqualTo(77);
    assertThat(conf.batchTokens(24, 0)).isEqualTo(11);
  }

  @Test
  void everyConstantIsAKey() throws ReflectiveOperationException {
    assertThat(keys(SparkTraceReadOptions.class))
        .containsExactlyInAnyOrderElementsOf(SparkTraceReadConf.KEYS);
    assertThat(keys(SparkTraceWriteOptions.class))
        .containsExactlyInAnyOrderElementsOf(SparkTraceWriteConf.KEYS);
  }

  private static List<String> keys(Class<?> constants) throws ReflectiveOperationException {
    List<String> keys = new ArrayList<>();
    for (Field field : constants.getFields()) {
      if (!field.getName().endsWith("_DEFAULT")) {
        keys.add((String) field.get(null));
      }
    }

    return keys;
  }

  @Test
  void writeKeysAreMappedAndWinOverMetadata() {
    StructType schema = TraceSchema.of(SHAPE, io.expertatlas.trace.LayerSelection.all(SHAPE), true);

    SparkTraceWriteConf fromMetadata =
        new SparkTraceWriteConf(new CaseInsensitiveStringMap(Map.of("path", "/x")), schema);
    SparkTraceWriteConf fromOptions =
        new SparkTraceWriteConf(
            new CaseInsensitiveStringMap(
                Map.of("path", "/x", "layers", "2", "experts", "70", "top-k", "5")),
            schema);

    assertThat(fromMetadata.shape()).isEqualTo(SHAPE);
    assertThat(fromMetadata.weights()).isTrue();
    assertThat(fromOptions.shape()).isEqualTo(new ModelShape(2, 70, 5));
    assertThatThrownBy(
            () ->
                new SparkTraceWriteConf(new CaseInsensitiveStringMap(Map.of("top-k", "9")), schema))
        .hasMessage(
            "Cannot write routing-trace: missing option 'path'; option 'top-k' is 9, expected 1 to the number of experts 8");
  }
}
