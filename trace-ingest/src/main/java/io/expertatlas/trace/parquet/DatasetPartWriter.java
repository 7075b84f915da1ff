package io.expertatlas.trace.parquet;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.json.TraceManifest.Part;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.conf.ParquetConfiguration;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.hadoop.ParquetFileWriter;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.api.WriteSupport;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.LocalOutputFile;
import org.apache.parquet.io.OutputFile;
import org.apache.parquet.io.api.RecordConsumer;

/** Writes one Parquet file of a dataset. Pages carry a CRC, which readers verify. */
public final class DatasetPartWriter implements AutoCloseable {
  private final HashedOutputFile file;
  private final ParquetWriter<Integer> writer;
  private final Rows rows;
  private long written;

  /**
   * Creates the file, replacing an existing one.
   *
   * @param file where to write
   * @param shape of the traces that will be written
   * @param weights whether they have router weights that are to be kept
   */
  public DatasetPartWriter(Path file, ModelShape shape, boolean weights) throws IOException {
    this(new LocalOutputFile(file), shape, weights, Integer.MAX_VALUE);
  }

  /**
   * Creates the file, replacing an existing one.
   *
   * @param file where to write, on any file system
   * @param shape of the traces that will be written
   * @param weights whether they have router weights that are to be kept
   * @param rowGroupRows bound on the rows of a row group, besides the bound on its bytes
   */
  public DatasetPartWriter(OutputFile file, ModelShape shape, boolean weights, int rowGroupRows)
      throws IOException {
    this.file = new HashedOutputFile(file);
    this.rows = new Rows(shape, weights);
    this.writer =
        new Builder(this.file, rows)
            .withConf(new PlainParquetConfiguration())
            .withWriteMode(ParquetFileWriter.Mode.OVERWRITE)
            .withCompressionCodec(CompressionCodecName.ZSTD)
            .withPageWriteChecksumEnabled(true)
            .withRowGroupRowCountLimit(rowGroupRows)
            .build();
  }

  /**
   * Appends tokens.
   *
   * @param batch of the shape given to the constructor
   * @param sequenceOffset added to each sequence id
   * @throws ArithmeticException if a sequence id then exceeds an int
   */
  public void write(RoutingTrace batch, int sequenceOffset) throws IOException {
    rows.batch = batch;
    rows.sequenceOffset = sequenceOffset;
    for (int token = 0; token < batch.tokens(); token++) {
      writer.write(token);
    }

    written += batch.tokens();
  }

  /** Ends the file and describes it, under the name that it will have in the dataset. */
  public Part finish(String name) throws IOException {
    writer.close();
    return new Part(name, written, file.bytes(), file.sha256());
  }

  @Override
  public void close() throws IOException {
    writer.close();
  }

  private static final class Builder extends ParquetWriter.Builder<Integer, Builder> {
    private final Rows rows;

    Builder(OutputFile file, Rows rows) {
      super(file);
      this.rows = rows;
    }

    @Override
    protected Builder self() {
      return this;
    }

    @Override
    @SuppressWarnings("deprecation") // abstract still
    protected WriteSupport<Integer> getWriteSupport(Configuration configuration) {
      return rows;
    }

    @Override
    protected WriteSupport<Integer> getWriteSupport(ParquetConfiguration configuration) {
      return rows;
    }
  }

  /** Turns the token of an index of the current batch into a record. */
  private static final class Rows extends WriteSupport<Integer> {
    private final ModelShape shape;
    private final boolean weights;
    private RoutingTrace batch;
    private int sequenceOffset;
    private RecordConsumer out;

    Rows(ModelShape shape, boolean weights) {
      this.shape = shape;
      this.weights = weights;
    }

    @Override
    @SuppressWarnings("deprecation") // abstract still
    public WriteContext init(Configuration configuration) {
      return new WriteContext(DatasetSchema.of(shape, weights), Map.of());
    }

    @Override
    public WriteContext init(ParquetConfiguration configuration) {
      return new WriteContext(DatasetSchema.of(shape, weights), Map.of());
    }

    @Override
    public void prepareForWrite(RecordConsumer consumer) {
      out = consumer;
    }

    @Override
    public void write(Integer row) {
      int token = row;
      out.startMessage();
      integer(DatasetSchema.SEQUENCE, Math.addExact(batch.sequence(token), sequenceOffset));
      integer(DatasetSchema.POSITION, batch.position(token));
      integer(DatasetSchema.PHASE, batch.phase(token).code());
      startList(DatasetSchema.EXPERTS);
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          startElement();
          out.addInteger(batch.expert(token, layer, rank));
          endElement();
        }
      }

      endList(DatasetSchema.EXPERTS);
      if (weights) {
        writeWeights(token);
      }

      out.endMessage();
    }

    private void writeWeights(int token) {
      startList(DatasetSchema.WEIGHTS);
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          startElement();
          out.addFloat(batch.weight(token, layer, rank));
          endElement();
        }
      }

      endList(DatasetSchema.WEIGHTS);
    }

    private void integer(int column, int value) {
      out.startField(DatasetSchema.name(column), column);
      out.addInteger(value);
      out.endField(DatasetSchema.name(column), column);
    }

    private void startList(int column) {
      out.startField(DatasetSchema.name(column), column);
      out.startGroup();
      out.startField("list", 0);
    }

    private void endList(int column) {
      out.endField("list", 0);
      out.endGroup();
      out.endField(DatasetSchema.name(column), column);
    }

    private void startElement() {
      out.startGroup();
      out.startField("element", 0);
    }

    private void endElement() {
      out.endField("element", 0);
      out.endGroup();
    }
  }
}
