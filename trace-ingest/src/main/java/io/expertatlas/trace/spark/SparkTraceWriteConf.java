package io.expertatlas.trace.spark;

import io.expertatlas.trace.ModelShape;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * The write options, typed, and what the query's schema says. Precedence: write option, then Spark
 * SQL conf, then metadata of the column {@code experts}. Unknown keys are errors; all problems are
 * said at once.
 */
final class SparkTraceWriteConf {
  static final List<String> KEYS =
      List.of(
          SparkTraceWriteOptions.PATH,
          SparkTraceWriteOptions.LAYERS,
          SparkTraceWriteOptions.EXPERTS,
          SparkTraceWriteOptions.TOP_K);

  private static final int MAX_LAYERS = 1 << 20;

  private final String path;
  private final ModelShape shape;
  private final boolean weights;

  /**
   * Reads options and schema.
   *
   * @throws IllegalArgumentException if any is unknown, invalid or missing
   */
  SparkTraceWriteConf(CaseInsensitiveStringMap options, StructType schema) {
    Set<String> ignored = new TreeSet<>(SparkTraceReadConf.KEYS); // session confs are shared
    SparkTraceConfParser parser = new SparkTraceConfParser(options, KEYS, ignored);
    path = parser.required(SparkTraceWriteOptions.PATH);
    checkSchema(schema, parser);
    Metadata metadata =
        List.of(schema.fieldNames()).contains(TraceSchema.EXPERTS)
            ? schema.apply(TraceSchema.EXPERTS).metadata()
            : Metadata.empty();
    long layers = shapeNumber(parser, metadata, SparkTraceWriteOptions.LAYERS, MAX_LAYERS);
    long experts =
        shapeNumber(parser, metadata, SparkTraceWriteOptions.EXPERTS, ModelShape.MAX_EXPERTS);
    long topK = shapeNumber(parser, metadata, SparkTraceWriteOptions.TOP_K, ModelShape.MAX_EXPERTS);
    if (layers > 0 && topK > experts && experts > 0) {
      parser.problem(
          "option 'top-k' is %d, expected 1 to the number of experts %d".formatted(topK, experts));
    }

    parser.end("write routing-trace");
    shape = new ModelShape((int) layers, (int) experts, (int) topK);
    weights = List.of(schema.fieldNames()).contains(TraceSchema.WEIGHTS);
  }

  private static long shapeNumber(
      SparkTraceConfParser parser, Metadata metadata, String key, long max) {
    boolean asked = !parser.text(key, "").isEmpty();
    OptionalLong given = parser.number(key, 1, max);
    if (given.isPresent() || asked) {
      return given.orElse(0);
    }

    if (metadata.contains(key)) {
      return metadata.getLong(key);
    }

    parser.problem(
        "missing option '%s': the column experts does not say it as metadata".formatted(key));
    return 0;
  }

  private static void checkSchema(StructType schema, SparkTraceConfParser parser) {
    for (StructField field : schema.fields()) {
      if (!TraceSchema.NAMES.contains(field.name())) {
        parser.problem("column '%s' is none of %s".formatted(field.name(), TraceSchema.NAMES));
      } else if (!fits(field.name(), field.dataType())) {
        parser.problem(
            "column '%s' is %s, expected %s"
                .formatted(
                    field.name(),
                    field.dataType().catalogString(),
                    TraceSchema.expected(field.name())));
      }
    }

    List<String> names = List.of(schema.fieldNames());
    for (String name : TraceSchema.NAMES) {
      if (!names.contains(name) && !name.equals(TraceSchema.WEIGHTS)) {
        parser.problem("column '%s' is missing".formatted(name));
      }
    }
  }

  private static boolean fits(String name, DataType type) {
    String found = type.catalogString();
    return switch (name) {
      case TraceSchema.SEQUENCE, TraceSchema.POSITION -> type.equals(DataTypes.IntegerType);
      case TraceSchema.PHASE -> type.equals(DataTypes.ByteType);
      case TraceSchema.EXPERTS -> found.equals("array<smallint>") || found.equals("array<int>");
      default -> found.equals("array<float>");
    };
  }

  String path() {
    return path;
  }

  ModelShape shape() {
    return shape;
  }

  boolean weights() {
    return weights;
  }
}
