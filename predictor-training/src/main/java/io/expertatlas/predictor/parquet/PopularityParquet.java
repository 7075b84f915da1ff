package io.expertatlas.predictor.parquet;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.conf.ParquetConfiguration;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.api.WriteSupport;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.LocalOutputFile;
import org.apache.parquet.io.OutputFile;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.io.api.RecordConsumer;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;

/** Writes {@link PopularityRow rows}. */
final class PopularityParquet {
  static final MessageType SCHEMA =
      MessageTypeParser.parseMessageType(
          """
          message popularity {
            required int32 iteration;
            required int32 layer;
            required binary source (STRING);
            required int32 head_out;
            required int32 expert;
            required int64 tokens;
          }
          """);

  private PopularityParquet() {}

  static ParquetWriter<PopularityRow> create(Path file) throws IOException {
    return new Builder(new LocalOutputFile(file))
        .withConf(new PlainParquetConfiguration())
        .withCompressionCodec(CompressionCodecName.ZSTD)
        .build();
  }

  private static final class Builder extends ParquetWriter.Builder<PopularityRow, Builder> {
    Builder(OutputFile file) {
      super(file);
    }

    @Override
    protected Builder self() {
      return this;
    }

    @Override
    @SuppressWarnings("deprecation") // abstract still
    protected WriteSupport<PopularityRow> getWriteSupport(Configuration configuration) {
      return new Rows();
    }

    @Override
    protected WriteSupport<PopularityRow> getWriteSupport(ParquetConfiguration configuration) {
      return new Rows();
    }
  }

  private static final class Rows extends WriteSupport<PopularityRow> {
    private RecordConsumer out;

    @Override
    @SuppressWarnings("deprecation") // abstract still
    public WriteContext init(Configuration configuration) {
      return context();
    }

    @Override
    public WriteContext init(ParquetConfiguration configuration) {
      return context();
    }

    private static WriteContext context() {
      return new WriteContext(SCHEMA, Map.of("format-version", "1"));
    }

    @Override
    public void prepareForWrite(RecordConsumer consumer) {
      out = consumer;
    }

    @Override
    public void write(PopularityRow row) {
      out.startMessage();
      integer(0, row.iteration());
      integer(1, row.layer());
      out.startField(SCHEMA.getFieldName(2), 2);
      out.addBinary(Binary.fromString(row.source()));
      out.endField(SCHEMA.getFieldName(2), 2);
      integer(3, row.headOut());
      integer(4, row.expert());
      out.startField(SCHEMA.getFieldName(5), 5);
      out.addLong(row.tokens());
      out.endField(SCHEMA.getFieldName(5), 5);
      out.endMessage();
    }

    private void integer(int field, int value) {
      out.startField(SCHEMA.getFieldName(field), field);
      out.addInteger(value);
      out.endField(SCHEMA.getFieldName(field), field);
    }
  }
}
