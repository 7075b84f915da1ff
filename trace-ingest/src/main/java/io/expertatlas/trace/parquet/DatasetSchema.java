package io.expertatlas.trace.parquet;

import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.List;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Type;
import org.apache.parquet.schema.Types;

/**
 * The columns of a dataset: {@code sequence int, position int, phase tinyint, experts
 * array<smallint>} and, if recorded, {@code weights array<float>}. The arrays are flat, {@code
 * layer * k + rank}. Models with more than 32768 experts a layer have {@code experts array<int>}.
 */
final class DatasetSchema {
  static final int SEQUENCE = 0;
  static final int POSITION = 1;
  static final int PHASE = 2;
  static final int EXPERTS = 3;
  static final int WEIGHTS = 4;

  private static final String[] NAMES = {"sequence", "position", "phase", "experts", "weights"};

  private DatasetSchema() {}

  static MessageType of(ModelShape shape, boolean weights) {
    int expertBits = shape.experts() <= 1 << 15 ? 16 : 32;
    List<Type> fields = new ArrayList<>();
    fields.add(Types.required(PrimitiveTypeName.INT32).named(NAMES[SEQUENCE]));
    fields.add(Types.required(PrimitiveTypeName.INT32).named(NAMES[POSITION]));
    fields.add(
        Types.required(PrimitiveTypeName.INT32)
            .as(LogicalTypeAnnotation.intType(8, true))
            .named(NAMES[PHASE]));
    fields.add(list(NAMES[EXPERTS], PrimitiveTypeName.INT32, expertBits));
    if (weights) {
      fields.add(list(NAMES[WEIGHTS], PrimitiveTypeName.FLOAT, 0));
    }

    return new MessageType("routing_trace", fields);
  }

  private static Type list(String name, PrimitiveTypeName type, int bits) {
    Types.PrimitiveBuilder<PrimitiveType> element = Types.required(type);
    if (bits == 16) {
      element = element.as(LogicalTypeAnnotation.intType(16, true));
    }

    return Types.requiredList().element(element.named("element")).named(name);
  }

  static int indexOf(String name) {
    return List.of(NAMES).indexOf(name);
  }

  static String name(int column) {
    return NAMES[column];
  }
}
