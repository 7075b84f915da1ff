package io.expertatlas.affinity.arrow;

import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.Coactivation;
import io.expertatlas.affinity.ExpertSet;
import io.expertatlas.affinity.Popularity;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.Transitions;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.files.WrittenAside;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;

/**
 * {@link RouteCounts} as four Arrow IPC files of a folder. Ids are int32, counts int64; rows of
 * zeros are left out. Stateless.
 *
 * <ul>
 *   <li>{@code popularity.arrow}: layer, expert, choices, first-choices;
 *   <li>{@code transitions.arrow}: layer (the one that is left), from, to, first-choices,
 *       pair-units (2^-20);
 *   <li>{@code coactivation.arrow}: layer, expert, other (greater than expert), tokens;
 *   <li>{@code expert-sets.arrow}: layer, experts (ascending, top-k of them), tokens.
 * </ul>
 *
 * <p>The schema of each holds as metadata: format-version, layers, experts, top-k, tokens.
 */
public final class AffinityFiles {
  private static final String FORMAT_VERSION = "1";

  /** The source of popularity that has no routes. */
  static final String COUNTS = "counts";

  static final String POPULARITY = "popularity.arrow";
  private static final String TRANSITIONS = "transitions.arrow";
  private static final String COACTIVATION = "coactivation.arrow";
  private static final String EXPERT_SETS = "expert-sets.arrow";

  private AffinityFiles() {}

  /**
   * Writes a new folder, complete or not at all.
   *
   * @throws UncheckedIOException if the folder exists or cannot be written
   */
  public static void write(RouteCounts counts, Path folder) {
    try {
      WrittenAside.folder(folder, aside -> writeInto(counts, aside));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Writes the four files into a folder that exists and holds none of them.
   *
   * @throws IOException if they cannot be written
   */
  public static void writeInto(RouteCounts counts, Path folder) throws IOException {
    ModelShape shape = counts.shape();
    int experts = shape.experts();
    Map<String, String> metadata = metadata(shape, counts.tokens());
    try (BufferAllocator allocator = new RootAllocator()) {
      Popularity popularity = counts.popularity();
      ArrowTable.write(
          allocator,
          folder.resolve(POPULARITY),
          popularityFields(),
          metadata,
          cells(
              shape.totalExperts(),
              cell -> popularity.choices(cell / experts, cell % experts) != 0,
              (vectors, row, cell) -> {
                set(vectors.get(0), row, cell / experts);
                set(vectors.get(1), row, cell % experts);
                set(vectors.get(2), row, popularity.choices(cell / experts, cell % experts));
                set(vectors.get(3), row, popularity.firstChoices(cell / experts, cell % experts));
              }));
      writeTransitions(allocator, folder, counts.transitions(), metadata);
      Coactivation coactivation = counts.coactivation();
      ArrowTable.write(
          allocator,
          folder.resolve(COACTIVATION),
          coactivationFields(),
          metadata,
          cells(
              shape.totalExperts() * experts,
              cell ->
                  cell % experts > cell / experts % experts
                      && coactivation.tokens(
                              cell / experts / experts, cell / experts % experts, cell % experts)
                          != 0,
              (vectors, row, cell) -> {
                int layer = cell / experts / experts;
                int expert = cell / experts % experts;
                set(vectors.get(0), row, layer);
                set(vectors.get(1), row, expert);
                set(vectors.get(2), row, cell % experts);
                set(vectors.get(3), row, coactivation.tokens(layer, expert, cell % experts));
              }));
      writeSets(allocator, folder, counts, metadata);
    }
  }

  private static void writeTransitions(
      BufferAllocator allocator, Path folder, Transitions transitions, Map<String, String> metadata)
      throws IOException {
    int experts = transitions.shape().experts();
    ArrowTable.write(
        allocator,
        folder.resolve(TRANSITIONS),
        transitionFields(),
        metadata,
        cells(
            transitions.gaps() * experts * experts,
            cell -> {
              int gap = cell / experts / experts;
              int from = cell / experts % experts;
              return transitions.firstChoices(gap, from, cell % experts) != 0
                  || transitions.pairUnits(gap, from, cell % experts) != 0;
            },
            (vectors, row, cell) -> {
              int gap = cell / experts / experts;
              int from = cell / experts % experts;
              set(vectors.get(0), row, gap);
              set(vectors.get(1), row, from);
              set(vectors.get(2), row, cell % experts);
              set(vectors.get(3), row, transitions.firstChoices(gap, from, cell % experts));
              set(vectors.get(4), row, transitions.pairUnits(gap, from, cell % experts));
            }));
  }

  private static void writeSets(
      BufferAllocator allocator, Path folder, RouteCounts counts, Map<String, String> metadata)
      throws IOException {
    int[] at = new int[2]; // layer, set
    ArrowTable.write(
        allocator,
        folder.resolve(EXPERT_SETS),
        setFields(counts.shape().topK()),
        metadata,
        (vectors, row) -> {
          while (at[0] < counts.shape().layers()
              && at[1] == counts.expertSets().get(at[0]).size()) {
            at[0]++;
            at[1] = 0;
          }

          if (at[0] == counts.shape().layers()) {
            return false;
          }

          ExpertSet set = counts.expertSets().get(at[0]).get(at[1]++);
          set(vectors.get(0), row, at[0]);
          FixedSizeListVector lists = (FixedSizeListVector) vectors.get(1);
          int first = lists.startNewValue(row);
          for (int i = 0; i < set.experts().size(); i++) {
            set(lists.getDataVector(), first + i, set.experts().get(i));
          }

          set(vectors.get(2), row, set.tokens());
          return true;
        });
  }

  /**
   * Reads a folder.
   *
   * @throws AffinityFormatException if a file is missing, broken, of another version, or its counts
   *     do not agree with the others'
   * @throws UncheckedIOException if the folder does not exist
   */
  public static RouteCounts read(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new UncheckedIOException(
          Files.exists(folder)
              ? new NotDirectoryException(folder.toString())
              : new java.nio.file.NoSuchFileException(folder.toString()));
    }

    try (BufferAllocator allocator = new RootAllocator()) {
      Map<String, String> metadata =
          ArrowTable.metadata(allocator, folder.resolve(POPULARITY), popularityFields());
      if (COUNTS.equals(metadata.get("source"))) {
        throw new AffinityFormatException(
            "Cannot read %s: it was made of counts, which tell popularity but no affinity. Maybe analyze a trace"
                .formatted(folder));
      }

      ModelShape shape = shape(folder.resolve(POPULARITY), metadata);
      long tokens = number(folder.resolve(POPULARITY), metadata, "tokens");
      Reading reading = new Reading(allocator, folder, metadata, shape.experts());
      int experts = shape.totalExperts();
      long[][] popularity =
          reading.dense(POPULARITY, popularityFields(), new int[] {shape.layers()}, 2, experts);
      int pairs = Math.multiplyExact(shape.experts(), shape.experts());
      long[][] transitions =
          reading.dense(
              TRANSITIONS,
              transitionFields(),
              new int[] {shape.layers() - 1},
              3,
              (shape.layers() - 1) * pairs);
      long[] half =
          reading
              .dense(
                  COACTIVATION,
                  coactivationFields(),
                  new int[] {shape.layers()},
                  3,
                  Math.multiplyExact(shape.layers(), pairs))[0];
      RouteCounts counts =
          new RouteCounts(
              shape,
              tokens,
              new Popularity(shape, popularity[0], popularity[1]),
              new Transitions(shape, transitions[0], transitions[1]),
              new Coactivation(shape, unfolded(shape, half, popularity[0])),
              reading.sets(shape));
      CountsCheck.check(counts);
      return counts;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw new AffinityFormatException("Cannot read %s: %s".formatted(folder, e.getMessage()), e);
    }
  }

  private static long[] unfolded(ModelShape shape, long[] half, long[] choices) {
    int experts = shape.experts();
    long[] square = half;
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (int expert = 0; expert < experts; expert++) {
        int row = shape.globalId(layer, expert) * experts;
        square[row + expert] = choices[shape.globalId(layer, expert)];
        for (int other = expert + 1; other < experts; other++) {
          square[shape.globalId(layer, other) * experts + expert] = square[row + other];
        }
      }
    }

    return square;
  }

  private record Reading(
      BufferAllocator allocator, Path folder, Map<String, String> metadata, int experts) {
    /**
     * Columns {@code ids..} of a table as dense arrays; the first {@code ids} columns say where.
     */
    long[][] dense(String name, List<Field> fields, int[] layers, int ids, int length)
        throws IOException {
      long[][] values = new long[fields.size() - ids][length];
      Path file = folder.resolve(name);
      Map<String, String> found =
          ArrowTable.read(
              allocator,
              file,
              fields,
              (vectors, rows) -> {
                for (int row = 0; row < rows; row++) {
                  int cell = 0;
                  for (int column = 0; column < ids; column++) {
                    int bound = column == 0 ? layers[0] : experts;
                    cell = cell * (column == 0 ? 1 : experts) + id(vectors.get(column), row, bound);
                  }

                  if (ids == 3
                      && name.equals(COACTIVATION)
                      && cell % experts <= cell / experts % experts) {
                    throw new AffinityFormatException(
                        "expert %d with other %d, which must be greater"
                            .formatted(cell / experts % experts, cell % experts));
                  }

                  boolean empty = true;
                  for (int column = ids; column < fields.size(); column++) {
                    empty &= values[column - ids][cell] == 0;
                    values[column - ids][cell] = count(vectors.get(column), row);
                  }

                  if (!empty) {
                    throw new AffinityFormatException(
                        "row %d repeats an earlier one".formatted(row));
                  }
                }
              });
      checkSame(file, found);
      return values;
    }

    List<List<ExpertSet>> sets(ModelShape shape) throws IOException {
      List<List<ExpertSet>> sets = new ArrayList<>();
      for (int layer = 0; layer < shape.layers(); layer++) {
        sets.add(new ArrayList<>());
      }

      Path file = folder.resolve(EXPERT_SETS);
      Map<String, String> found =
          ArrowTable.read(
              allocator,
              file,
              setFields(shape.topK()),
              (vectors, rows) -> {
                FixedSizeListVector lists = (FixedSizeListVector) vectors.get(1);
                for (int row = 0; row < rows; row++) {
                  List<Integer> ids = new ArrayList<>();
                  for (int i = 0; i < shape.topK(); i++) {
                    ids.add(id(lists.getDataVector(), row * shape.topK() + i, experts));
                  }

                  sets.get(id(vectors.get(0), row, shape.layers()))
                      .add(new ExpertSet(ids, count(vectors.get(2), row)));
                }
              });
      checkSame(file, found);
      sets.forEach(
          layer -> layer.sort(Comparator.comparing(ExpertSet::experts, Lexicographic::compare)));
      return sets;
    }

    private void checkSame(Path file, Map<String, String> found) {
      if (!metadata.equals(found)) {
        throw new AffinityFormatException(
            "Cannot read %s: it is of %s, but %s of %s"
                .formatted(file, new TreeMap<>(found), POPULARITY, new TreeMap<>(metadata)));
      }
    }
  }

  private static ModelShape shape(Path file, Map<String, String> metadata) {
    String version = metadata.get("format-version");
    if (!FORMAT_VERSION.equals(version)) {
      throw new AffinityFormatException(
          "Cannot read %s: format-version %s, expected %s"
              .formatted(file, version, FORMAT_VERSION));
    }

    return new ModelShape(
        Math.toIntExact(number(file, metadata, "layers")),
        Math.toIntExact(number(file, metadata, "experts")),
        Math.toIntExact(number(file, metadata, "top-k")));
  }

  private static long number(Path file, Map<String, String> metadata, String key) {
    String text = metadata.getOrDefault(key, "missing");
    if (!text.matches("\\d{1,18}")) {
      throw new AffinityFormatException(
          "Cannot read %s: metadata %s is %s, expected a whole number".formatted(file, key, text));
    }

    return Long.parseLong(text);
  }

  private static Map<String, String> metadata(ModelShape shape, long tokens) {
    Map<String, String> metadata = new TreeMap<>();
    metadata.put("format-version", FORMAT_VERSION);
    metadata.put("layers", Integer.toString(shape.layers()));
    metadata.put("experts", Integer.toString(shape.experts()));
    metadata.put("top-k", Integer.toString(shape.topK()));
    metadata.put("tokens", Long.toString(tokens));
    return metadata;
  }

  static List<Field> popularityFields() {
    return List.of(id("layer"), id("expert"), count("choices"), count("first-choices"));
  }

  private static List<Field> transitionFields() {
    return List.of(id("layer"), id("from"), id("to"), count("first-choices"), count("pair-units"));
  }

  private static List<Field> coactivationFields() {
    return List.of(id("layer"), id("expert"), id("other"), count("tokens"));
  }

  private static List<Field> setFields(int topK) {
    Field experts =
        new Field(
            "experts",
            FieldType.notNullable(new ArrowType.FixedSizeList(topK)),
            List.of(id("item")));
    return List.of(id("layer"), experts, count("tokens"));
  }

  private static Field id(String name) {
    return new Field(name, FieldType.notNullable(new ArrowType.Int(32, true)), null);
  }

  private static Field count(String name) {
    return new Field(name, FieldType.notNullable(new ArrowType.Int(64, true)), null);
  }

  private static int id(FieldVector vector, int row, int bound) {
    int id = ((IntVector) vector).get(row);
    if (id < 0 || id >= bound) {
      throw new AffinityFormatException(
          "%s %d at row %d of a batch, 0 to %d".formatted(vector.getName(), id, row, bound - 1));
    }

    return id;
  }

  private static long count(FieldVector vector, int row) {
    long count = ((BigIntVector) vector).get(row);
    if (count < 0) {
      throw new AffinityFormatException(
          "%s %d at row %d of a batch, at least 0".formatted(vector.getName(), count, row));
    }

    return count;
  }

  private static void set(FieldVector vector, int row, long value) {
    if (vector instanceof IntVector ids) {
      ids.setSafe(row, (int) value);
    } else {
      ((BigIntVector) vector).setSafe(row, value);
    }
  }

  private interface CellWriter {
    void set(List<FieldVector> vectors, int row, int cell);
  }

  /** The rows of those cells of a dense array that are kept. */
  private static ArrowTable.Rows cells(
      int cells, java.util.function.IntPredicate kept, CellWriter writer) {
    int[] next = new int[1];
    return (vectors, row) -> {
      while (next[0] < cells && !kept.test(next[0])) {
        next[0]++;
      }

      if (next[0] == cells) {
        return false;
      }

      writer.set(vectors, row, next[0]++);
      return true;
    };
  }
}
