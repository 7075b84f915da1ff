package io.expertatlas.affinity;

import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Popularity over time from counts without routes. Counts do not say which experts a token visited
 * together or one after the other: there are no transitions, co-activation, expert sets or locality
 * here, no first choices, and the top-k is unknown (the shape says 1, visits take the place of
 * tokens).
 *
 * @param name of the input
 * @param popularity visits of all windows
 * @param windows of steps; {@code tokens} are the visits of the layer with most of them
 */
public record CountsAnalysis(String name, Popularity popularity, WindowCounts windows) {
  /** What counts cannot tell, in words of the summary's keys. */
  public static final List<String> UNKNOWN =
      List.of("transitions", "coactivation", "expert-sets", "lags", "locality", "groups");

  private static final long MAX_CELLS = 1L << 26;

  /** Checks that nothing is null. */
  public CountsAnalysis {
    Objects.requireNonNull(name, "name is null");
    Objects.requireNonNull(popularity, "popularity is null");
    Objects.requireNonNull(windows, "windows is null");
  }

  /**
   * Sums counts by windows of steps; does not close the reader. All that a step has, of several
   * ranks or micro-batches, is added.
   *
   * @param length steps of a window: window w holds steps {@code w * length} to {@code (w + 1) *
   *     length - 1}
   * @throws TraceFormatException if the counts are broken, or there are more windows than fit in
   *     512 MiB
   */
  public static CountsAnalysis of(CountsReader reader, String name, long length) {
    ModelShape shape = new ModelShape(reader.layers(), reader.experts(), 1);
    TreeMap<Long, long[]> windows = new TreeMap<>();
    long[] total = new long[shape.totalExperts()];
    for (Optional<ExpertCounts> next = reader.next(); next.isPresent(); next = reader.next()) {
      ExpertCounts counts = next.get();
      long index = Math.floorDiv(counts.step(), length);
      if (!windows.containsKey(index) && (windows.size() + 1L) * shape.totalExperts() > MAX_CELLS) {
        throw new TraceFormatException(
            "Cannot keep %d windows of %d layers x %d experts of %s: at most %d. Maybe take a longer --window than %d"
                .formatted(
                    windows.size() + 1,
                    shape.layers(),
                    shape.experts(),
                    name,
                    MAX_CELLS / shape.totalExperts(),
                    length));
      }

      long[] sums = windows.computeIfAbsent(index, key -> new long[shape.totalExperts()]);
      for (int id = 0; id < sums.length; id++) {
        long count = counts.count(id / shape.experts(), id % shape.experts());
        sums[id] += count;
        total[id] += count;
      }
    }

    List<WindowCounts.Window> list = new ArrayList<>();
    long[] none = new long[total.length];
    for (Map.Entry<Long, long[]> window : windows.entrySet()) {
      long visits = mostVisits(window.getValue(), shape);
      if (visits > 0) {
        list.add(
            new WindowCounts.Window(
                window.getKey(), visits, new Popularity(shape, window.getValue(), none)));
      }
    }

    return new CountsAnalysis(
        name, new Popularity(shape, total, none), new WindowCounts(shape, length, list));
  }

  private static long mostVisits(long[] counts, ModelShape shape) {
    long most = 0;
    for (int layer = 0; layer < shape.layers(); layer++) {
      long visits = 0;
      for (int expert = 0; expert < shape.experts(); expert++) {
        visits += counts[shape.globalId(layer, expert)];
      }

      most = Math.max(most, visits);
    }

    return most;
  }

  /** Load of each layer over all windows. */
  public List<LayerMetrics> layers() {
    List<LayerMetrics> layers = new ArrayList<>();
    for (int layer = 0; layer < popularity.shape().layers(); layer++) {
      layers.add(LayerMetrics.of(popularity, layer));
    }

    return layers;
  }

  /** Visits of the layer with most of them. */
  public long visits() {
    long visits = 0;
    for (WindowCounts.Window window : windows.windows()) {
      visits += window.tokens();
    }

    return visits;
  }
}
