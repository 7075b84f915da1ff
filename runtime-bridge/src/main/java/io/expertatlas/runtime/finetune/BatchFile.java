package io.expertatlas.runtime.finetune;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** The rows of all steps as a numpy array, int32 {@code [steps * batch, sequence length]}. */
public final class BatchFile {
  private BatchFile() {}

  /**
   * Writes the array, version 1, C order.
   *
   * @throws IOException if it cannot be written
   */
  public static void write(TokenRows rows, TrainingSettings settings, OutputStream out)
      throws IOException {
    String header =
        "{'descr': '<i4', 'fortran_order': False, 'shape': (%d, %d), }"
            .formatted((long) settings.steps() * settings.batch(), settings.sequenceLength());
    int padded = (10 + header.length() + 1 + 63) / 64 * 64 - 10;
    ByteBuffer begin = ByteBuffer.allocate(10 + padded).order(ByteOrder.LITTLE_ENDIAN);
    begin.put((byte) 0x93).put("NUMPY".getBytes(StandardCharsets.US_ASCII));
    begin.put((byte) 1).put((byte) 0).putShort((short) padded);
    begin.put(
        (header + " ".repeat(padded - header.length() - 1) + "\n")
            .getBytes(StandardCharsets.US_ASCII));
    out.write(begin.array());
    ByteBuffer row =
        ByteBuffer.allocate(settings.sequenceLength() * Integer.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int step = 0; step < settings.steps(); step++) {
      for (int[] ids : rows.batch(step, settings.batch())) {
        row.clear();
        row.asIntBuffer().put(ids);
        out.write(row.array());
      }
    }
  }
}
