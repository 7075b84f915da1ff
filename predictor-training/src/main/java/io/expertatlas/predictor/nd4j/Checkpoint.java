package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.trace.files.WrittenAside;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.CheckedOutputStream;

/**
 * How far the training of a layer is, as a file that is replaced whole: written aside, then
 * renamed. Big-endian: magic, fingerprint of the task, epoch, best epoch and recall, whether it
 * ended, the network's state, the best weights, CRC-32.
 */
@SuppressWarnings("ArrayRecordComponent") // weights, handed over once
record Checkpoint(
    int epoch, int bestEpoch, double bestRecall, boolean ended, float[][] state, float[][] best) {
  private static final int MAGIC = 0x45415031;

  void write(Path file, long fingerprint) {
    try {
      WrittenAside.file(file, aside -> writeTo(aside, fingerprint));
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot write checkpoint %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  private void writeTo(Path file, long fingerprint) throws IOException {
    CRC32 sum = new CRC32();
    try (DataOutputStream out =
        new DataOutputStream(
            new CheckedOutputStream(
                new BufferedOutputStream(Files.newOutputStream(file), 1 << 16), sum))) {
      out.writeInt(MAGIC);
      out.writeLong(fingerprint);
      out.writeInt(epoch);
      out.writeInt(bestEpoch);
      out.writeDouble(bestRecall);
      out.writeBoolean(ended);
      write(out, state);
      write(out, best);
      out.writeLong(sum.getValue());
    }
  }

  private static void write(DataOutputStream out, float[][] arrays) throws IOException {
    for (float[] array : arrays) {
      for (float value : array) {
        out.writeInt(Float.floatToRawIntBits(value));
      }
    }
  }

  /**
   * Reads a checkpoint, if there is one.
   *
   * @param stateLengths of the arrays that are expected
   * @throws PredictorFormatException if it is broken, or of another task
   */
  static Optional<Checkpoint> find(
      Path file, long fingerprint, int[] stateLengths, int[] bestLengths) {
    if (!Files.exists(file)) {
      return Optional.empty();
    }

    CRC32 sum = new CRC32();
    try (DataInputStream in =
        new DataInputStream(
            new CheckedInputStream(
                new BufferedInputStream(Files.newInputStream(file), 1 << 16), sum))) {
      int magic = in.readInt();
      if (magic != MAGIC) {
        throw new PredictorFormatException(
            "Invalid checkpoint %s: it begins with %08x, expected %08x"
                .formatted(file, magic, MAGIC));
      }

      long found = in.readLong();
      if (found != fingerprint) {
        throw new PredictorFormatException(
            "Cannot resume from %s: it is of a training %016x, this one is %016x. Maybe the options or the trace differ"
                .formatted(file, found, fingerprint));
      }

      Checkpoint checkpoint =
          new Checkpoint(
              in.readInt(),
              in.readInt(),
              in.readDouble(),
              in.readBoolean(),
              read(in, stateLengths),
              read(in, bestLengths));
      long expected = sum.getValue();
      long stated = in.readLong();
      if (stated != expected) {
        throw new PredictorFormatException(
            "Corrupted checkpoint %s: its CRC-32 is %08x, it says %08x"
                .formatted(file, expected, stated));
      }

      return Optional.of(checkpoint);
    } catch (EOFException e) {
      throw new PredictorFormatException("Truncated checkpoint: %s".formatted(file), e);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read checkpoint %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  private static float[][] read(DataInputStream in, int[] lengths) throws IOException {
    float[][] arrays = new float[lengths.length][];
    for (int i = 0; i < lengths.length; i++) {
      arrays[i] = new float[lengths[i]];
      for (int j = 0; j < arrays[i].length; j++) {
        arrays[i][j] = Float.intBitsToFloat(in.readInt());
      }
    }

    return arrays;
  }
}
