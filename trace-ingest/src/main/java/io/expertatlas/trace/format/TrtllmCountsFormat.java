package io.expertatlas.trace.format;

import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.TensorFile.Tensor;
import io.expertatlas.trace.format.TrtllmStatistics.Step;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Format {@code trtllm}: the expert statistics of TensorRT-LLM, {@code rank<r>.safetensors}, counts
 * {@code [experts]} of each iteration and layer. One window for each iteration and rank.
 */
public final class TrtllmCountsFormat implements CountsFormat {
  /** For {@link java.util.ServiceLoader}. */
  public TrtllmCountsFormat() {}

  @Override
  public String name() {
    return TrtllmStatistics.NAME;
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return TrtllmStatistics.has(source.path(), TrtllmStatistics.COUNTS);
  }

  @Override
  public CountsReader open(TraceSource source) {
    Sources.refuseColumns(source);
    TrtllmStatistics statistics = TrtllmStatistics.open(source.path(), TrtllmStatistics.COUNTS);
    try {
      Sources.checkExperts(source, statistics.experts());
      for (Step step : statistics.steps()) {
        for (Tensor tensor : step.tensors()) {
          if (!tensor.shape().equals(List.of((long) statistics.experts()))) {
            throw new TraceFormatException(
                "Invalid shape of tensor %s in %s: %s, expected [%d], a count for each expert"
                    .formatted(
                        tensor.name(), step.file().path(), tensor.shape(), statistics.experts()));
          }
        }
      }

      return new Reader(statistics);
    } catch (RuntimeException e) {
      statistics.close();
      throw e;
    }
  }

  private static final class Reader implements CountsReader {
    private final TrtllmStatistics statistics;
    private int next;

    Reader(TrtllmStatistics statistics) {
      this.statistics = statistics;
    }

    @Override
    public int layers() {
      return statistics.layers();
    }

    @Override
    public int experts() {
      return statistics.experts();
    }

    @Override
    public Optional<ExpertCounts> next() {
      if (next == statistics.steps().size()) {
        return Optional.empty();
      }

      Step step = statistics.steps().get(next++);
      int experts = experts();
      long[] counts = new long[layers() * experts];
      for (int layer = 0; layer < layers(); layer++) {
        Tensor tensor = step.tensors().get(layer);
        step.file().readIntegers(tensor, 0, experts, counts, layer * experts);
        for (int expert = 0; expert < experts; expert++) {
          if (counts[layer * experts + expert] < 0) {
            throw new TraceFormatException(
                "Invalid count %d in %s, tensor %s, expert %d: at least 0"
                    .formatted(
                        counts[layer * experts + expert],
                        step.file().path(),
                        tensor.name(),
                        expert));
          }
        }
      }

      return Optional.of(
          ExpertCounts.of(
              layers(),
              experts,
              "iteration " + step.iteration(),
              step.iteration(),
              OptionalInt.of(step.rank()),
              counts));
    }

    @Override
    public void close() {
      statistics.close();
    }
  }
}
