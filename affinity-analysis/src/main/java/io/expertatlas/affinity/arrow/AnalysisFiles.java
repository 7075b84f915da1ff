package io.expertatlas.affinity.arrow;

import io.expertatlas.affinity.AnalysisPart;
import io.expertatlas.affinity.CachePolicy;
import io.expertatlas.affinity.CountsAnalysis;
import io.expertatlas.affinity.GroupDistance;
import io.expertatlas.affinity.LagTransitions;
import io.expertatlas.affinity.Locality;
import io.expertatlas.affinity.Popularity;
import io.expertatlas.affinity.TraceAnalysis;
import io.expertatlas.affinity.WindowCounts;
import io.expertatlas.affinity.WindowMetrics;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;

/**
 * What an analysis counts beside the routes, as Arrow IPC files for notebooks. Ids are int32,
 * counts int64, figures float64; NaN stands where there is no window before. Stateless.
 *
 * <ul>
 *   <li>{@code windows.arrow}: window, layer, expert, choices, first-choices; zeros left out;
 *   <li>{@code window-metrics.arrow}: window, layer, tokens, gini, cv, max-over-mean, entropy-bits,
 *       drift, drift-noise, ema-error;
 *   <li>{@code transitions-lag-D.arrow}: layer (the one left), from, to, first-choices, probability
 *       (of to, given from); zeros left out;
 *   <li>{@code cache.arrow}: layer, capacity, lru-hits, clairvoyant-hits, choices;
 *   <li>{@code reuse.arrow}: layer, from-tokens, to-tokens (exclusive), choices; first uses have
 *       both 0;
 *   <li>{@code overlap.arrow}: layer, shared, tokens;
 *   <li>{@code group-distances.arrow}: group, other, popularity, popularity-noise, popularity-bits,
 *       transitions, transitions-noise;
 *   <li>{@code groups/NAME/}: all of these for the tokens of a group, and the four files of {@link
 *       AffinityFiles};
 *   <li>{@code folds/N/}: the routes of a fold of the sequences; see {@link FoldFiles}.
 * </ul>
 */
public final class AnalysisFiles {
  private AnalysisFiles() {}

  /**
   * Writes the files that an analysis has into a folder that exists and holds none of them.
   *
   * @param alpha weight of the newest window in the moving average
   * @throws IOException if they cannot be written
   */
  public static void writeInto(
      TraceAnalysis analysis, List<GroupDistance> distances, double alpha, Path folder)
      throws IOException {
    try (BufferAllocator allocator = new RootAllocator()) {
      part(allocator, analysis.whole(), alpha, folder);
      FoldFiles.writeInto(analysis.folds(), folder);
      if (analysis.groups().isEmpty()) {
        return;
      }

      distances(allocator, analysis.counts().shape(), distances, folder);
      List<String> names = folderNames(analysis.groups());
      Path groups = Files.createDirectory(folder.resolve("groups"));
      for (int group = 0; group < names.size(); group++) {
        Path own = Files.createDirectory(groups.resolve(names.get(group)));
        AffinityFiles.writeInto(analysis.groups().get(group).counts(), own);
        part(allocator, analysis.groups().get(group), alpha, own);
      }
    }
  }

  /**
   * Writes what counts without routes tell: {@code popularity.arrow}, whose first-choices are 0 and
   * whose metadata say {@code source: counts}, and the files of windows.
   *
   * @throws IOException if they cannot be written
   */
  public static void writeInto(CountsAnalysis counts, double alpha, Path folder)
      throws IOException {
    Popularity popularity = counts.popularity();
    int experts = popularity.shape().experts();
    Map<String, String> metadata = metadata(popularity.shape());
    metadata.remove("top-k");
    metadata.put("source", AffinityFiles.COUNTS);
    try (BufferAllocator allocator = new RootAllocator()) {
      table(
          allocator,
          folder.resolve(AffinityFiles.POPULARITY),
          metadata,
          AffinityFiles.popularityFields(),
          cells(popularity.shape().totalExperts())
              .filter(id -> popularity.choices(id / experts, id % experts) > 0)
              .map(
                  id ->
                      new Number[] {
                        id / experts,
                        id % experts,
                        popularity.choices(id / experts, id % experts),
                        0
                      }));
      windows(allocator, counts.windows(), alpha, folder);
    }
  }

  /** Names of the groups as folders: other characters than letters, digits, . _ - become _. */
  public static List<String> folderNames(List<AnalysisPart> groups) {
    TreeSet<String> used = new TreeSet<>();
    List<String> names = new ArrayList<>();
    for (AnalysisPart group : groups) {
      String name = group.name().replaceAll("[^A-Za-z0-9._-]|^\\.", "_");
      String free = name.substring(0, Math.min(name.length(), 80));
      for (int i = 2; !used.add(free.toLowerCase(Locale.ROOT)); i++) {
        free = name.substring(0, Math.min(name.length(), 80)) + "-" + i;
      }

      names.add(free);
    }

    return names;
  }

  private static void part(BufferAllocator allocator, AnalysisPart part, double alpha, Path folder)
      throws IOException {
    windows(allocator, part.windows(), alpha, folder);
    for (LagTransitions lag : part.lags()) {
      if (lag.lag() > 1) {
        lag(allocator, lag, part.counts().tokens(), folder);
      }
    }

    if (part.locality().tokens() > 0) {
      locality(allocator, part.locality(), folder);
    }
  }

  /**
   * Writes {@code windows.arrow} and {@code window-metrics.arrow}, if there are windows.
   *
   * @throws IOException if they cannot be written
   */
  private static void windows(
      BufferAllocator allocator, WindowCounts counts, double alpha, Path folder)
      throws IOException {
    if (counts.windows().isEmpty()) {
      return;
    }

    ModelShape shape = counts.shape();
    Map<String, String> metadata = metadata(shape);
    metadata.put("window", Long.toString(counts.length()));
    table(
        allocator,
        folder.resolve("windows.arrow"),
        metadata,
        List.of(
            count("window"), id("layer"), id("expert"), count("choices"), count("first-choices")),
        counts.windows().stream()
            .flatMap(
                window ->
                    cells(shape.totalExperts())
                        .filter(id -> choices(window, id) > 0)
                        .map(
                            id ->
                                new Number[] {
                                  window.index(),
                                  id / shape.experts(),
                                  id % shape.experts(),
                                  choices(window, id),
                                  window
                                      .popularity()
                                      .firstChoices(id / shape.experts(), id % shape.experts())
                                })));
    table(
        allocator,
        folder.resolve("window-metrics.arrow"),
        metadata,
        List.of(
            count("window"),
            id("layer"),
            count("tokens"),
            figure("gini"),
            figure("cv"),
            figure("max-over-mean"),
            figure("entropy-bits"),
            figure("drift"),
            figure("drift-noise"),
            figure("ema-error")),
        cells(shape.layers())
            .flatMap(layer -> WindowMetrics.of(counts, layer, alpha).stream())
            .map(AnalysisFiles::row));
  }

  private static long choices(WindowCounts.Window window, int id) {
    int experts = window.popularity().shape().experts();
    return window.popularity().choices(id / experts, id % experts);
  }

  private static Number[] row(WindowMetrics metrics) {
    return new Number[] {
      metrics.index(),
      metrics.load().layer(),
      metrics.tokens(),
      metrics.load().gini(),
      metrics.load().coefficientOfVariation(),
      metrics.load().maxOverMean(),
      metrics.load().entropyBits(),
      metrics.drift(),
      metrics.driftNoise(),
      metrics.emaError()
    };
  }

  private static void lag(
      BufferAllocator allocator, LagTransitions transitions, long tokens, Path folder)
      throws IOException {
    int experts = transitions.shape().experts();
    Map<String, String> metadata = metadata(transitions.shape());
    metadata.put("lag", Integer.toString(transitions.lag()));
    metadata.put("tokens", Long.toString(tokens));
    table(
        allocator,
        folder.resolve("transitions-lag-%d.arrow".formatted(transitions.lag())),
        metadata,
        List.of(id("layer"), id("from"), id("to"), count("first-choices"), figure("probability")),
        cells(transitions.starts() * experts)
            .flatMap(
                row -> {
                  int start = row / experts;
                  int from = row % experts;
                  long leaving = 0;
                  for (int to = 0; to < experts; to++) {
                    leaving += transitions.firstChoices(start, from, to);
                  }

                  double all = leaving;
                  return cells(experts)
                      .filter(to -> transitions.firstChoices(start, from, to) > 0)
                      .map(
                          to -> {
                            long count = transitions.firstChoices(start, from, to);
                            return new Number[] {start, from, to, count, count / all};
                          });
                }));
  }

  private static void locality(BufferAllocator allocator, Locality locality, Path folder)
      throws IOException {
    ModelShape shape = locality.shape();
    Map<String, String> metadata = metadata(shape);
    metadata.put("tokens", Long.toString(locality.tokens()));
    metadata.put("runs", Long.toString(locality.runs()));
    table(
        allocator,
        folder.resolve("cache.arrow"),
        metadata,
        List.of(
            id("layer"),
            id("capacity"),
            count("lru-hits"),
            count("clairvoyant-hits"),
            count("choices")),
        cells(shape.layers() * (shape.experts() + 1))
            .map(
                cell -> {
                  int layer = cell / (shape.experts() + 1);
                  int capacity = cell % (shape.experts() + 1);
                  return new Number[] {
                    layer,
                    capacity,
                    locality.hits(CachePolicy.LRU, layer, capacity),
                    locality.hits(CachePolicy.CLAIRVOYANT, layer, capacity),
                    locality.choices()
                  };
                }));
    table(
        allocator,
        folder.resolve("reuse.arrow"),
        metadata,
        List.of(id("layer"), id("from-tokens"), id("to-tokens"), count("choices")),
        cells(shape.layers() * (Locality.GAP_BINS + 1))
            .map(
                cell -> {
                  int layer = cell / (Locality.GAP_BINS + 1);
                  int bin = cell % (Locality.GAP_BINS + 1) - 1;
                  return bin < 0
                      ? new Number[] {layer, 0, 0, locality.firstUses(layer)}
                      : new Number[] {layer, 1 << bin, 2 << bin, locality.reuses(layer, bin)};
                }));
    table(
        allocator,
        folder.resolve("overlap.arrow"),
        metadata,
        List.of(id("layer"), id("shared"), count("tokens")),
        cells(shape.layers() * (shape.topK() + 1))
            .map(
                cell -> {
                  int layer = cell / (shape.topK() + 1);
                  int shared = cell % (shape.topK() + 1);
                  return new Number[] {layer, shared, locality.kept(layer, shared)};
                }));
  }

  private static void distances(
      BufferAllocator allocator, ModelShape shape, List<GroupDistance> distances, Path folder)
      throws IOException {
    table(
        allocator,
        folder.resolve("group-distances.arrow"),
        metadata(shape),
        List.of(
            id("group"),
            id("other"),
            figure("popularity"),
            figure("popularity-noise"),
            figure("popularity-bits"),
            figure("transitions"),
            figure("transitions-noise")),
        distances.stream()
            .map(
                pair ->
                    new Number[] {
                      pair.group(),
                      pair.other(),
                      pair.popularity(),
                      pair.popularityNoise(),
                      pair.popularityBits(),
                      pair.transitions(),
                      pair.transitionsNoise()
                    }));
  }

  private static Stream<Integer> cells(int count) {
    return IntStream.range(0, count).boxed();
  }

  private static void table(
      BufferAllocator allocator,
      Path file,
      Map<String, String> metadata,
      List<Field> fields,
      Stream<Number[]> rows)
      throws IOException {
    Iterator<Number[]> left = rows.iterator();
    ArrowTable.write(
        allocator,
        file,
        fields,
        metadata,
        (vectors, row) -> {
          if (!left.hasNext()) {
            return false;
          }

          Number[] values = left.next();
          for (int column = 0; column < values.length; column++) {
            set(vectors.get(column), row, values[column]);
          }

          return true;
        });
  }

  private static void set(FieldVector vector, int row, Number value) {
    if (vector instanceof IntVector ids) {
      ids.setSafe(row, Math.toIntExact(value.longValue()));
    } else if (vector instanceof BigIntVector counts) {
      counts.setSafe(row, value.longValue());
    } else {
      ((Float8Vector) vector).setSafe(row, value.doubleValue());
    }
  }

  private static Map<String, String> metadata(ModelShape shape) {
    Map<String, String> metadata = new TreeMap<>();
    metadata.put("format-version", "1");
    metadata.put("layers", Integer.toString(shape.layers()));
    metadata.put("experts", Integer.toString(shape.experts()));
    metadata.put("top-k", Integer.toString(shape.topK()));
    return metadata;
  }

  private static Field id(String name) {
    return new Field(name, FieldType.notNullable(new ArrowType.Int(32, true)), null);
  }

  private static Field count(String name) {
    return new Field(name, FieldType.notNullable(new ArrowType.Int(64, true)), null);
  }

  private static Field figure(String name) {
    return new Field(
        name,
        FieldType.notNullable(new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE)),
        null);
  }
}
