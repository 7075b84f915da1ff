package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.torch.TorchTensor;
import io.expertatlas.trace.torch.TorchValue;
import java.io.Closeable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Windows of counts of logical experts, for all layers of the model, dense ones too. */
interface SglangWindows extends Closeable {
  /** Layers of the model. */
  int layers();

  /** Logical experts. */
  int experts();

  /** Number of windows. */
  int windows();

  /** The pass of a window. */
  long step(int window);

  /** The counts of a window, {@code [layer][expert]}. */
  long[] counts(int window);

  /** Where a window is, for messages. */
  String place(int window);

  @Override
  void close();

  /** The windows of a dump, which is taken over. */
  static SglangWindows of(SglangDump dump) {
    return dump.kind() == SglangDump.Kind.STAT ? new Stat(dump) : new Passes(dump);
  }

  /** Mode stat: {@code logical_count [window, layer, expert]}, over all ranks. */
  final class Stat implements SglangWindows {
    private final SglangDump dump;
    private final TorchValue value;
    private final TorchTensor counts;
    private final int layers;
    private final int experts;

    Stat(SglangDump dump) {
      this.dump = dump;
      this.value = dump.ranks().get(0).root().key(SglangDump.LOGICAL);
      this.counts = value.tensor(3);
      boolean fits =
          counts.size(1) > 0
              && counts.size(2) > 0
              && counts.size(2) <= ModelShape.MAX_EXPERTS
              && counts.size(1) <= (1 << 24) / counts.size(2)
              && counts.size(0) <= Integer.MAX_VALUE;
      if (!fits) {
        throw value.wrong("a tensor (windows, layers, experts)");
      }

      this.layers = (int) counts.size(1);
      this.experts = (int) counts.size(2);
    }

    @Override
    public int layers() {
      return layers;
    }

    @Override
    public int experts() {
      return experts;
    }

    @Override
    public int windows() {
      return (int) counts.size(0);
    }

    @Override
    public long step(int window) {
      return window;
    }

    @Override
    public long[] counts(int window) {
      long[] into = new long[layers * experts];
      counts.readIntegers((long) window * into.length, into.length, into);
      return into;
    }

    @Override
    public String place(int window) {
      return "%s, window %d".formatted(value.at(), window);
    }

    @Override
    public void close() {
      dump.close();
    }
  }

  /** Mode per_pass: {@code global_physical_count [layer, physical]} of each rank and pass. */
  final class Passes implements SglangWindows {
    private record Part(TorchValue value, int[][] map) {}

    private final SglangDump dump;
    private final List<Long> steps;
    private final List<List<Part>> windows;
    private final int layers;
    private final int experts;

    Passes(SglangDump dump) {
      this.dump = dump;
      Map<Long, List<Part>> byPass = new TreeMap<>();
      int mostExperts = 0;
      int someLayers = -1;
      for (SglangDump.Rank rank : dump.ranks()) {
        int[][] map = rank.physicalToLogical();
        if (someLayers >= 0 && someLayers != map.length) {
          throw new TraceFormatException(
              "Cannot add the counts of SGLang ranks: %s has %d layers, %s has %d"
                  .formatted(dump.ranks().get(0).path(), someLayers, rank.path(), map.length));
        }

        someLayers = map.length;
        mostExperts = Math.max(mostExperts, SglangDump.experts(map));
        TorchValue records = rank.records();
        for (int i = 0; i < records.size(); i++) {
          TorchValue value = records.at(i).key(SglangDump.PHYSICAL);
          TorchTensor counts = value.tensor(2);
          if (counts.size(0) != map.length || counts.size(1) != map[0].length) {
            throw value.wrong(
                "a tensor (%d layers, %d physical experts), as the map has"
                    .formatted(map.length, map[0].length));
          }

          byPass
              .computeIfAbsent(
                  records.at(i).key("forward_pass_id").integer(), id -> new ArrayList<>())
              .add(new Part(value, map));
        }
      }

      this.layers = someLayers;
      this.experts = mostExperts;
      this.steps = List.copyOf(byPass.keySet());
      this.windows = List.copyOf(byPass.values());
    }

    @Override
    public int layers() {
      return layers;
    }

    @Override
    public int experts() {
      return experts;
    }

    @Override
    public int windows() {
      return windows.size();
    }

    @Override
    public long step(int window) {
      return steps.get(window);
    }

    @Override
    public long[] counts(int window) {
      long[] sums = new long[layers * experts];
      for (Part part : windows.get(window)) {
        int physical = part.map()[0].length;
        long[] counts = new long[layers * physical];
        part.value().tensor().readIntegers(0, counts.length, counts);
        for (int i = 0; i < counts.length; i++) {
          int layer = i / physical;
          if (counts[i] < 0) {
            throw new TraceFormatException(
                "Invalid count %d at %s, layer %d, physical expert %d: at least 0"
                    .formatted(counts[i], part.value().at(), layer, i % physical));
          }

          sums[layer * experts + part.map()[layer][i % physical]] += counts[i];
        }
      }

      return sums;
    }

    @Override
    public String place(int window) {
      return windows.get(window).get(0).value().at();
    }

    @Override
    public void close() {
      dump.close();
    }
  }
}
