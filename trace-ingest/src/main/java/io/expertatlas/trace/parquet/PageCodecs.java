package io.expertatlas.trace.parquet;

import io.expertatlas.trace.input.ZstdBlock;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.bytes.HeapByteBufferAllocator;
import org.apache.parquet.compression.CompressionCodecFactory;
import org.apache.parquet.conf.ParquetConfiguration;
import org.apache.parquet.hadoop.CodecFactory;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;

/**
 * Decompresses pages for reading: those that a dataset has, zstd, each at once in place of a
 * stream; those of other writers as Parquet does.
 */
final class PageCodecs implements CompressionCodecFactory {
  private final CodecFactory others;

  PageCodecs(ParquetConfiguration configuration) {
    others = new CodecFactory(configuration, 0);
  }

  @Override
  public BytesInputDecompressor getDecompressor(CompressionCodecName codec) {
    return codec == CompressionCodecName.ZSTD ? new Zstd() : others.getDecompressor(codec);
  }

  @Override
  public BytesInputCompressor getCompressor(CompressionCodecName codec) {
    return others.getCompressor(codec);
  }

  @Override
  public void release() {
    others.release();
  }

  private static final class Zstd implements BytesInputDecompressor {
    @Override
    public BytesInput decompress(BytesInput page, int size) throws IOException {
      ByteBuffer bytes = page.toByteBuffer(new HeapByteBufferAllocator(), unused -> {});
      if (bytes.hasArray()) {
        return BytesInput.from(
            ZstdBlock.decompress(
                bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining(), size));
      }

      byte[] copy = new byte[bytes.remaining()];
      bytes.get(copy);
      return BytesInput.from(ZstdBlock.decompress(copy, 0, copy.length, size));
    }

    @Override
    public void decompress(ByteBuffer page, int length, ByteBuffer into, int size)
        throws IOException {
      byte[] copy = new byte[length];
      page.get(copy);
      into.put(ZstdBlock.decompress(copy, 0, length, size));
    }

    @Override
    public void release() {}
  }
}
