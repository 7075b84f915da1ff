package io.expertatlas.trace.spark;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.parquet.DatasetPartWriter;
import io.expertatlas.trace.parquet.HadoopDatasetFolder;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.connector.write.DataWriter;
import org.apache.spark.sql.connector.write.WriterCommitMessage;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Writes the rows of one task attempt to a file of its own, checked a batch at a time. */
final class TraceDataWriter implements DataWriter<InternalRow> {
  private static final int BATCH_CHOICES = 1 << 16;
  private static final int MAX_BATCH_TOKENS = 1 << 12;
  private static final float[] NO_WEIGHTS = {};

  private final Configuration hadoop;
  private final Path file;
  private final ModelShape shape;
  private final boolean weighted;
  private final int[] ordinals; // [column of TraceSchema.NAMES], -1 if not there
  private final boolean intIds;
  private final int batchTokens;
  private final SequenceIds sequences = new SequenceIds();

  private Optional<DatasetPartWriter> writer = Optional.empty(); // none before the first row
  private long rows; // all
  private int filled; // rows of the batch
  private short[] experts = {};
  private float[] weights = {};
  private int[] sequence = {};
  private int[] position = {};
  private byte[] phase = {};

  /** What an attempt wrote; a task without rows leaves no file. */
  record Written(String file, long rows, long bytes, String sha256, SequenceIds sequences)
      implements WriterCommitMessage {}

  TraceDataWriter(
      Configuration hadoop,
      String folder,
      String name,
      ModelShape shape,
      boolean weighted,
      StructType schema) {
    this.hadoop = hadoop;
    this.file = new Path(folder, name);
    this.shape = shape;
    this.weighted = weighted;
    List<String> names = List.of(schema.fieldNames());
    this.ordinals = TraceSchema.NAMES.stream().mapToInt(names::indexOf).toArray();
    this.intIds =
        ((ArrayType) schema.apply(TraceSchema.EXPERTS).dataType())
            .elementType()
            .equals(DataTypes.IntegerType);
    this.batchTokens =
        Math.max(1, Math.min(MAX_BATCH_TOKENS, BATCH_CHOICES / shape.choicesPerToken()));
    startBatch();
  }

  private void startBatch() { // a trace takes its arrays over
    experts = new short[batchTokens * shape.choicesPerToken()];
    weights = weighted ? new float[experts.length] : NO_WEIGHTS;
    sequence = new int[batchTokens];
    position = new int[batchTokens];
    phase = new byte[batchTokens];
    filled = 0;
  }

  @Override
  public void write(InternalRow row) throws IOException {
    int width = shape.choicesPerToken();
    sequence[filled] = notNegative(row, 0);
    position[filled] = notNegative(row, 1);
    phase[filled] = phaseOf(row);
    ArrayData ids = array(row, 3);
    for (int i = 0; i < width; i++) {
      int id = ids.isNullAt(i) ? -1 : intIds ? ids.getInt(i) : ids.getShort(i);
      if (id < 0 || id >= shape.experts()) {
        throw new TraceFormatException(
            "Invalid expert id %s in %s at layer %d, rank %d: the model has experts 0 to %d"
                .formatted(
                    ids.isNullAt(i) ? "null" : id,
                    place(),
                    i / shape.topK(),
                    i % shape.topK(),
                    shape.experts() - 1));
      }

      experts[filled * width + i] = (short) id;
    }

    if (weighted) {
      ArrayData values = array(row, 4);
      for (int i = 0; i < width; i++) {
        float weight = values.isNullAt(i) ? Float.NaN : values.getFloat(i);
        if (!Float.isFinite(weight)) {
          throw new TraceFormatException(
              "Invalid router weight %s in %s at layer %d, rank %d: it must be finite"
                  .formatted(
                      values.isNullAt(i) ? "null" : weight,
                      place(),
                      i / shape.topK(),
                      i % shape.topK()));
        }

        weights[filled * width + i] = weight;
      }
    }

    sequences.add(sequence[filled]);
    rows++;
    if (++filled == batchTokens) {
      writeBatch();
    }
  }

  private String place() {
    return "row %d of a task (sequence %d, position %d)"
        .formatted(rows, sequence[filled], position[filled]);
  }

  private int notNegative(InternalRow row, int column) {
    int ordinal = ordinals[column];
    int value = row.isNullAt(ordinal) ? -1 : row.getInt(ordinal);
    if (value < 0) {
      throw new TraceFormatException(
          "Invalid %s %s in row %d of a task: at least 0"
              .formatted(
                  TraceSchema.NAMES.get(column), row.isNullAt(ordinal) ? "null" : value, rows));
    }

    return value;
  }

  private byte phaseOf(InternalRow row) {
    int ordinal = ordinals[2];
    byte value = row.isNullAt(ordinal) ? -1 : row.getByte(ordinal);
    if (value != 0 && value != 1) {
      throw new TraceFormatException(
          "Invalid phase %s in %s: 0 (prefill) or 1 (decode)"
              .formatted(row.isNullAt(ordinal) ? "null" : value, place()));
    }

    return value;
  }

  private ArrayData array(InternalRow row, int column) {
    int ordinal = ordinals[column];
    ArrayData array = row.isNullAt(ordinal) ? null : row.getArray(ordinal);
    if (array == null || array.numElements() != shape.choicesPerToken()) {
      throw new TraceFormatException(
          "Invalid %s in %s: %s, expected %d of %s"
              .formatted(
                  TraceSchema.NAMES.get(column),
                  place(),
                  array == null ? "null" : array.numElements() + " elements",
                  shape.choicesPerToken(),
                  shape));
    }

    return array;
  }

  private void writeBatch() throws IOException {
    if (filled == 0) {
      return;
    }

    if (writer.isEmpty()) {
      writer =
          Optional.of(
              new DatasetPartWriter(
                  HadoopDatasetFolder.outputFile(file, hadoop),
                  shape,
                  weighted,
                  Integer.MAX_VALUE));
    }

    int choices = filled * shape.choicesPerToken();
    try {
      writer
          .get()
          .write(
              RoutingTrace.of(
                  shape,
                  filled == batchTokens ? experts : Arrays.copyOf(experts, choices),
                  weighted ? Arrays.copyOf(weights, choices) : NO_WEIGHTS,
                  Arrays.copyOf(sequence, filled),
                  Arrays.copyOf(position, filled),
                  Arrays.copyOf(phase, filled)),
              0);
    } catch (IllegalArgumentException e) {
      throw new TraceFormatException(
          "%s (tokens counted from row %d of a task)".formatted(e.getMessage(), rows - filled), e);
    }

    startBatch();
  }

  @Override
  public WriterCommitMessage commit() throws IOException {
    writeBatch();
    if (writer.isEmpty()) {
      return new Written("", 0, 0, "", sequences);
    }

    Part part = writer.get().finish(file.getName());
    writer = Optional.empty();
    return new Written(part.file(), part.rows(), part.bytes(), part.sha256(), sequences);
  }

  @Override
  public void abort() throws IOException {
    close();
    file.getFileSystem(hadoop).delete(file, false /* recursive */);
  }

  @Override
  public void close() throws IOException {
    if (writer.isPresent()) {
      DatasetPartWriter open = writer.get();
      writer = Optional.empty();
      open.close();
    }
  }
}
