package io.expertatlas.trace.spark;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.ModelShape;
import java.util.List;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.MetadataBuilder;
import org.apache.spark.sql.types.StructType;

/**
 * The table: {@code sequence int, position int, phase tinyint, experts array<smallint>} ({@code
 * array<int>} if a layer has more than 32768 experts) and, if recorded, {@code weights
 * array<float>}. Arrays are flat, {@code layer * k + rank}. The metadata of {@code experts} says
 * the shape: {@code layers}, {@code experts}, {@code top-k}.
 */
final class TraceSchema {
  static final String SEQUENCE = "sequence";
  static final String POSITION = "position";
  static final String PHASE = "phase";
  static final String EXPERTS = "experts";
  static final String WEIGHTS = "weights";

  /** Hidden unless named: bigint, the index in the whole trace. */
  static final String TOKEN = "_token";

  /** Hidden unless named: array of float, {@code layer * hidden + value}. */
  static final String ROUTER_INPUT = "_router_input";

  /** Hidden unless named: array of float, {@code layer * experts + expert}. */
  static final String ROUTER_SCORES = "_router_scores";

  static final List<String> NAMES = List.of(SEQUENCE, POSITION, PHASE, EXPERTS, WEIGHTS);

  private static final int MAX_SHORT_EXPERTS = 1 << 15;

  private TraceSchema() {}

  static StructType of(ModelShape shape, LayerSelection layers, boolean weights) {
    Metadata metadata =
        new MetadataBuilder()
            .putLong(SparkTraceWriteOptions.LAYERS, layers.layers())
            .putLong(SparkTraceWriteOptions.EXPERTS, shape.experts())
            .putLong(SparkTraceWriteOptions.TOP_K, shape.topK())
            .build();
    DataType id =
        shape.experts() <= MAX_SHORT_EXPERTS ? DataTypes.ShortType : DataTypes.IntegerType;
    StructType schema =
        new StructType()
            .add(SEQUENCE, DataTypes.IntegerType, false)
            .add(POSITION, DataTypes.IntegerType, false)
            .add(PHASE, DataTypes.ByteType, false)
            .add(EXPERTS, DataTypes.createArrayType(id, false), false, metadata);
    return weights
        ? schema.add(WEIGHTS, DataTypes.createArrayType(DataTypes.FloatType, false), false)
        : schema;
  }

  /** Whether any of the columns is made of router states. */
  static boolean needsStates(List<String> columns) {
    return columns.contains(ROUTER_INPUT) || columns.contains(ROUTER_SCORES);
  }

  /** The type of a column, for messages. */
  static String expected(String name) {
    return switch (name) {
      case SEQUENCE, POSITION -> "int";
      case PHASE -> "tinyint";
      case EXPERTS -> "array<smallint> or array<int>";
      default -> "array<float>";
    };
  }

  /** Bytes of a row in memory, about: for Spark's statistics. */
  static long rowBytes(StructType schema, int width) {
    long bytes = 8;
    for (String name : schema.fieldNames()) {
      bytes +=
          switch (name) {
            case EXPERTS -> 2L * width;
            case WEIGHTS -> 4L * width;
            case ROUTER_INPUT, ROUTER_SCORES -> 0; // RouterFacts knows
            default -> 4;
          };
    }

    return bytes;
  }
}
