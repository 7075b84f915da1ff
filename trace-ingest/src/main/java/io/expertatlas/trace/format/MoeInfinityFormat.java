package io.expertatlas.trace.format;

import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.TensorFile.Tensor;
import java.nio.file.Files;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Format {@code moe-infinity}: an {@code .npy} of floating-point token counts {@code [requests,
 * layers, experts]}, encoder layers first. One window for each request.
 */
public final class MoeInfinityFormat implements CountsFormat {
  /** For {@link java.util.ServiceLoader}. */
  public MoeInfinityFormat() {}

  @Override
  public String name() {
    return "moe-infinity";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    if (!Files.isRegularFile(source.path()) || !NpyFile.hasMagic(source.path())) {
      return false;
    }

    try (TensorFile file = TensorFile.openNpy(source.path(), "counts")) {
      Tensor tensor = file.tensors().get("");
      return tensor.type().floating && tensor.shape().size() == 3;
    } catch (TraceFormatException e) {
      return false; // broken: whoever opens it says why
    }
  }

  @Override
  public CountsReader open(TraceSource source) {
    Sources.refuseColumns(source);
    TensorFile file = TensorFile.openNpy(source.path(), "counts");
    try {
      Tensor tensor = file.tensors().get("");
      List<Long> shape = tensor.shape();
      if (!tensor.type().floating
          || shape.size() != 3
          || shape.get(1) < 1
          || shape.get(2) < 1
          || shape.get(2) > ModelShape.MAX_EXPERTS
          || shape.get(1) > Integer.MAX_VALUE / shape.get(2) / 8) {
        throw new TraceFormatException(
            "Invalid counts in %s: %s %s, expected floating-point numbers [requests, layers, experts]"
                .formatted(source.path(), tensor.type(), shape));
      }

      Sources.checkExperts(source, (int) (long) shape.get(2));
      return new Reader(file, tensor);
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  private static final class Reader implements CountsReader {
    private final TensorFile file;
    private final Tensor tensor;
    private long next;

    Reader(TensorFile file, Tensor tensor) {
      this.file = file;
      this.tensor = tensor;
    }

    @Override
    public int layers() {
      return (int) (long) tensor.shape().get(1);
    }

    @Override
    public int experts() {
      return (int) (long) tensor.shape().get(2);
    }

    @Override
    public Optional<ExpertCounts> next() {
      if (next == tensor.shape().get(0)) {
        return Optional.empty();
      }

      int size = layers() * experts();
      float[] values = new float[size];
      file.readFloats(tensor, next * size, size, values, 0);
      long[] counts = new long[size];
      for (int i = 0; i < size; i++) {
        counts[i] =
            WholeCounts.of(values[i], file.path(), "request", next, i / experts(), i % experts());
      }

      ExpertCounts window =
          ExpertCounts.of(
              layers(), experts(), "request " + next, next, OptionalInt.empty(), counts);
      next++;
      return Optional.of(window);
    }

    @Override
    public void close() {
      file.close();
    }
  }
}
