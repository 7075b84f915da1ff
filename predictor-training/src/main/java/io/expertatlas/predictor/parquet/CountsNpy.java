package io.expertatlas.predictor.parquet;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * An {@code .npy} file (version 1.0) of int64 {@code [iterations, layers, experts]} that grows by
 * an iteration at a time; the header's place is kept and written at the end.
 */
final class CountsNpy implements AutoCloseable {
  private static final int HEADER = 128;

  private final FileChannel channel;
  private final int layers;
  private final int experts;
  private long iterations;

  CountsNpy(Path file, int layers, int experts) throws IOException {
    this.channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    this.layers = layers;
    this.experts = experts;
    channel.position(HEADER);
  }

  void add(long[] counts) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(8 * counts.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asLongBuffer().put(counts);
    write(bytes);
    iterations++;
  }

  private void write(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  @Override
  public void close() throws IOException {
    try (channel) {
      String text =
          "{'descr': '<i8', 'fortran_order': False, 'shape': (%d, %d, %d), }"
              .formatted(iterations, layers, experts);
      ByteBuffer header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
      header.put((byte) 0x93).put("NUMPY".getBytes(StandardCharsets.US_ASCII));
      header.put((byte) 1).put((byte) 0).putShort((short) (HEADER - 10));
      header.put(text.getBytes(StandardCharsets.US_ASCII));
      while (header.remaining() > 1) {
        header.put((byte) ' ');
      }

      header.put((byte) '\n').flip();
      channel.position(0);
      write(header);
    }
  }
}
