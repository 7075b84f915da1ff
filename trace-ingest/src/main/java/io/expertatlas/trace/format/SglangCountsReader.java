package io.expertatlas.trace.format;

import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalInt;

/** Reads windows of counts, without the layers and windows that counted nothing. */
final class SglangCountsReader implements CountsReader {
  private final SglangWindows windows;
  private final int[] moeLayers; // of the model
  private int next;

  private SglangCountsReader(SglangWindows windows, int[] moeLayers) {
    this.windows = windows;
    this.moeLayers = moeLayers;
  }

  /** Takes over the windows, and looks through them for the MoE layers. */
  static SglangCountsReader of(SglangWindows windows, TraceSource source) {
    if (source.experts().orElse(windows.experts()) != windows.experts()) {
      throw new TraceFormatException(
          "Invalid number of experts: %d by --experts, %d by %s"
              .formatted(source.experts().getAsInt(), windows.experts(), source.path()));
    }

    boolean[] used = new boolean[windows.layers()];
    for (int window = 0; window < windows.windows(); window++) {
      long[] counts = windows.counts(window);
      for (int i = 0; i < counts.length; i++) {
        if (counts[i] < 0) {
          throw new TraceFormatException(
              "Invalid count %d at %s, layer %d, expert %d: at least 0"
                  .formatted(
                      counts[i],
                      windows.place(window),
                      i / windows.experts(),
                      i % windows.experts()));
        }

        used[i / windows.experts()] |= counts[i] > 0;
      }
    }

    int[] layers = new int[used.length];
    int count = 0;
    for (int layer = 0; layer < used.length; layer++) {
      if (used[layer]) {
        layers[count++] = layer;
      }
    }

    if (count == 0) {
      throw new TraceFormatException(
          "Cannot tell the MoE layers of %s: no token was counted in any of its %d windows"
              .formatted(source.path(), windows.windows()));
    }

    return new SglangCountsReader(windows, Arrays.copyOf(layers, count));
  }

  @Override
  public int layers() {
    return moeLayers.length;
  }

  @Override
  public int experts() {
    return windows.experts();
  }

  @Override
  public Optional<ExpertCounts> next() {
    while (next < windows.windows()) {
      int window = next++;
      long[] all = windows.counts(window);
      if (Arrays.stream(all).anyMatch(count -> count != 0)) {
        int experts = windows.experts();
        long[] counts = new long[moeLayers.length * experts];
        for (int layer = 0; layer < moeLayers.length; layer++) {
          System.arraycopy(all, moeLayers[layer] * experts, counts, layer * experts, experts);
        }

        long step = windows.step(window);
        return Optional.of(
            ExpertCounts.of(
                moeLayers.length,
                experts,
                "forward pass " + step,
                step,
                OptionalInt.empty(),
                counts));
      }
    }

    return Optional.empty();
  }

  @Override
  public void close() {
    windows.close();
  }
}
