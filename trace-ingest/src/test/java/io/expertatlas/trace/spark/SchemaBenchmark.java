package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.api.WriteSupport;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.LocalOutputFile;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.io.api.RecordConsumer;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * Compares ways to lay out expert choices in Parquet: size, time to write, time of a scan through
 * Spark's internal rows that counts the pairs of adjacent layers' first choices, time of the same
 * count in plain SQL, and of SQL for one pair of layers. All layouts must count the same.
 *
 * <pre>
 * mvn -B -q -Dquick -pl trace-ingest -am test -Dtest=SchemaBenchmark \
 *   -Dsurefire.failIfNoSpecifiedTests=false \
 *   -Dschema.benchmark="FOLDER [TOKENS LAYERS EXPERTS TOP-K [LAYOUT...]]"
 * cat trace-ingest/target/surefire-reports/io.expertatlas.trace.spark.SchemaBenchmark-output.txt
 * </pre>
 */
final class SchemaBenchmark {
  private static final int PARTS = 4;
  private static final int REPEATS = 3;

  /** A way to lay out the choices of a token. */
  enum Layout {
    /** One column a layer and rank. */
    COLUMNS {
      @Override
      String columns(ModelShape shape) {
        return choices(shape)
            .map(c -> "required int32 %s (INTEGER(16,true));".formatted(column(shape, c)))
            .collect(Collectors.joining());
      }

      @Override
      void write(RecordConsumer out, RoutingTrace trace, int token) {
        ModelShape shape = trace.shape();
        for (int c = 0; c < shape.choicesPerToken(); c++) {
          int at = c;
          field(out, ANY, c, () -> out.addInteger(choice(trace, token, at)));
        }
      }

      @Override
      String top1(ModelShape shape, int layer) {
        return column(shape, layer * shape.topK());
      }
    },
    /** One array. */
    FLAT {
      @Override
      String columns(ModelShape shape) {
        return "required group experts (LIST) { repeated group list {"
            + " required int32 element (INTEGER(16,true)); } }";
      }

      @Override
      void write(RecordConsumer out, RoutingTrace trace, int token) {
        list(out, "experts", 0, trace, token, 0, trace.shape().choicesPerToken());
      }

      @Override
      String top1(ModelShape shape, int layer) {
        return "experts[%d]".formatted(layer * shape.topK());
      }

      @Override
      String top1Of(ModelShape shape, String layer) {
        return "experts[(%s) * %d]".formatted(layer, shape.topK());
      }
    },
    /** An array of arrays. */
    NESTED {
      @Override
      String columns(ModelShape shape) {
        return "required group experts (LIST) { repeated group list { required group element (LIST)"
            + " { repeated group list { required int32 element (INTEGER(16,true)); } } } }";
      }

      @Override
      void write(RecordConsumer out, RoutingTrace trace, int token) {
        ModelShape shape = trace.shape();
        out.startField("experts", 0);
        out.startGroup();
        out.startField("list", 0);
        for (int layer = 0; layer < shape.layers(); layer++) {
          out.startGroup();
          list(out, "element", 0, trace, token, layer * shape.topK(), shape.topK());
          out.endGroup();
        }

        out.endField("list", 0);
        out.endGroup();
        out.endField("experts", 0);
      }

      @Override
      String top1(ModelShape shape, int layer) {
        return "experts[%d][0]".formatted(layer);
      }

      @Override
      String top1Of(ModelShape shape, String layer) {
        return "experts[%s][0]".formatted(layer);
      }
    },
    /** One byte string. */
    BYTES {
      @Override
      String columns(ModelShape shape) {
        return "required binary experts;";
      }

      @Override
      void write(RecordConsumer out, RoutingTrace trace, int token) {
        int width = trace.shape().choicesPerToken();
        field(out, "experts", 0, () -> out.addBinary(bytes(trace, token, 0, width)));
      }

      @Override
      String top1(ModelShape shape, int layer) {
        return byteAt("experts", String.valueOf(layer * shape.topK()));
      }

      @Override
      String top1Of(ModelShape shape, String layer) {
        return byteAt("experts", "(%s) * %d".formatted(layer, shape.topK()));
      }
    },
    /** One byte string a layer. */
    LAYER_BYTES {
      @Override
      String columns(ModelShape shape) {
        return IntStream.range(0, shape.layers())
            .mapToObj("required binary layer_%d;"::formatted)
            .collect(Collectors.joining());
      }

      @Override
      void write(RecordConsumer out, RoutingTrace trace, int token) {
        int topK = trace.shape().topK();
        for (int layer = 0; layer < trace.shape().layers(); layer++) {
          int from = layer * topK;
          field(out, ANY, layer, () -> out.addBinary(bytes(trace, token, from, topK)));
        }
      }

      @Override
      String top1(ModelShape shape, int layer) {
        return byteAt("layer_" + layer, "0");
      }
    },
    /** One array a layer. */
    LAYER_ARRAYS {
      @Override
      String columns(ModelShape shape) {
        return IntStream.range(0, shape.layers())
            .mapToObj(
                layer ->
                    "required group layer_%d (LIST) { repeated group list {".formatted(layer)
                        + " required int32 element (INTEGER(16,true)); } }")
            .collect(Collectors.joining());
      }

      @Override
      void write(RecordConsumer out, RoutingTrace trace, int token) {
        int topK = trace.shape().topK();
        for (int layer = 0; layer < trace.shape().layers(); layer++) {
          list(out, ANY, layer, trace, token, layer * topK, topK);
        }
      }

      @Override
      String top1(ModelShape shape, int layer) {
        return "layer_%d[0]".formatted(layer);
      }
    };

    abstract String columns(ModelShape shape);

    abstract void write(RecordConsumer out, RoutingTrace trace, int token);

    /** SQL for the first choice of a layer. */
    abstract String top1(ModelShape shape, int layer);

    /** SQL for the first choice of a computed layer; empty if columns cannot be computed. */
    String top1Of(ModelShape shape, String layer) {
      return "";
    }

    /** The columns that hold every first choice. */
    List<String> needed(ModelShape shape) {
      return switch (this) {
        case FLAT, NESTED, BYTES -> List.of("experts");
        case COLUMNS, LAYER_BYTES, LAYER_ARRAYS ->
            IntStream.range(0, shape.layers())
                .mapToObj(layer -> top1(shape, layer).replaceAll("\\[0]$", ""))
                .map(name -> this == LAYER_BYTES ? name.replaceAll(".*(layer_\\d+).*", "$1") : name)
                .toList();
      };
    }

    /** The first choice of a layer in a row of {@link #needed}. */
    int first(InternalRow row, int layer, int topK) {
      return switch (this) {
        case COLUMNS -> row.getShort(layer);
        case FLAT -> row.getArray(0).getShort(layer * topK);
        case NESTED -> row.getArray(0).getArray(layer).getShort(0);
        case BYTES -> row.getBinary(0)[layer * topK] & 0xff;
        case LAYER_BYTES -> row.getBinary(layer)[0] & 0xff;
        case LAYER_ARRAYS -> row.getArray(layer).getShort(0);
      };
    }

    /** The first choices of all layers, fetching what all share once. */
    void firsts(InternalRow row, int topK, int[] into) {
      switch (this) {
        case FLAT -> {
          ArrayData all = row.getArray(0);
          for (int layer = 0; layer < into.length; layer++) {
            into[layer] = all.getShort(layer * topK);
          }
        }
        case BYTES -> {
          byte[] all = row.getBinary(0);
          for (int layer = 0; layer < into.length; layer++) {
            into[layer] = all[layer * topK] & 0xff;
          }
        }
        case COLUMNS, NESTED, LAYER_BYTES, LAYER_ARRAYS -> {
          for (int layer = 0; layer < into.length; layer++) {
            into[layer] = first(row, layer, topK);
          }
        }
      }
    }

    /** Every choice of a row with all columns, into {@code [layer][rank]}. */
    void all(InternalRow row, int topK, int[] into) {
      switch (this) {
        case COLUMNS -> {
          for (int i = 0; i < into.length; i++) {
            into[i] = row.getShort(i);
          }
        }
        case FLAT -> {
          ArrayData all = row.getArray(0);
          for (int i = 0; i < into.length; i++) {
            into[i] = all.getShort(i);
          }
        }
        case BYTES -> {
          byte[] all = row.getBinary(0);
          for (int i = 0; i < into.length; i++) {
            into[i] = all[i] & 0xff;
          }
        }
        case NESTED, LAYER_BYTES, LAYER_ARRAYS -> {
          for (int layer = 0; layer < into.length / topK; layer++) {
            for (int rank = 0; rank < topK; rank++) {
              into[layer * topK + rank] =
                  switch (this) {
                    case NESTED -> row.getArray(0).getArray(layer).getShort(rank);
                    case LAYER_BYTES -> row.getBinary(layer)[rank] & 0xff;
                    default -> row.getArray(layer).getShort(rank);
                  };
            }
          }
        }
      }
    }

    /** Names are not looked at when a record is written: the index decides. */
    private static final String ANY = "any";

    private static Stream<Integer> choices(ModelShape shape) {
      return IntStream.range(0, shape.choicesPerToken()).boxed();
    }

    private static String column(ModelShape shape, int choice) {
      return "layer_%d_rank_%d".formatted(choice / shape.topK(), choice % shape.topK());
    }

    private static int choice(RoutingTrace trace, int token, int choice) {
      int topK = trace.shape().topK();
      return trace.expert(token, choice / topK, choice % topK);
    }

    private static Binary bytes(RoutingTrace trace, int token, int from, int count) {
      byte[] bytes = new byte[count];
      for (int i = 0; i < count; i++) {
        bytes[i] = (byte) choice(trace, token, from + i);
      }

      return Binary.fromConstantByteArray(bytes);
    }

    private static void field(RecordConsumer out, String name, int index, Runnable value) {
      out.startField(name, index);
      value.run();
      out.endField(name, index);
    }

    private static void list(
        RecordConsumer out,
        String name,
        int index,
        RoutingTrace trace,
        int token,
        int from,
        int count) {
      out.startField(name, index);
      out.startGroup();
      out.startField("list", 0);
      for (int i = 0; i < count; i++) {
        out.startGroup();
        out.startField("element", 0);
        out.addInteger(choice(trace, token, from + i));
        out.endField("element", 0);
        out.endGroup();
      }

      out.endField("list", 0);
      out.endGroup();
      out.endField(name, index);
    }

    private static String byteAt(String bytes, String index) {
      return "cast(conv(hex(substring(%s, 1 + %s, 1)), 16, 10) as int)".formatted(bytes, index);
    }
  }

  private SparkSession spark;
  private Path folder;
  private ModelShape shape;
  private int tokens;

  private static SchemaBenchmark of(SparkSession spark, Path folder, ModelShape shape, int tokens) {
    SchemaBenchmark benchmark = new SchemaBenchmark();
    benchmark.spark = spark;
    benchmark.folder = folder;
    benchmark.shape = shape;
    benchmark.tokens = tokens;
    return benchmark;
  }

  private static void main(String[] arguments) throws IOException {
    List<int[]> cases =
        arguments.length > 4
            ? List.of(Arrays.stream(arguments, 1, 5).mapToInt(Integer::parseInt).toArray())
            : List.of(new int[] {2_400_000, 12, 8, 2}, new int[] {1_000_000, 26, 64, 6});
    List<Layout> layouts =
        arguments.length > 5
            ? Arrays.stream(arguments, 5, arguments.length).map(Layout::valueOf).toList()
            : List.of(Layout.values());
    try (SparkSession spark = session()) {
      for (int[] c : cases) {
        ModelShape shape = new ModelShape(c[1], c[2], c[3]);
        SchemaBenchmark benchmark = SchemaBenchmark.of(spark, Path.of(arguments[0]), shape, c[0]);
        System.out.printf("%d tokens, %s%n", c[0], shape);
        System.out.println(
            "| layout | write s | MB | pairs of first choices s | all choices s | SQL, all pairs s | SQL, one pair s |");
        System.out.println("|---|---|---|---|---|---|---|");
        for (Layout layout : layouts) {
          benchmark.measure(layout);
        }
      }
    }
  }

  private static SparkSession session() {
    return SparkSession.builder()
        .master("local[2]")
        .config("spark.ui.enabled", false)
        .config("spark.sql.shuffle.partitions", 2)
        .getOrCreate();
  }

  private void measure(Layout layout) throws IOException {
    Path data = folder.resolve(layout.name());
    double write = write(layout, data);
    long bytes;
    try (Stream<Path> files = Files.list(data)) {
      bytes = files.mapToLong(f -> f.toFile().length()).sum();
    }

    double scan = best(() -> scan(layout, data));
    double all = best(() -> scanAll(layout, data));
    double sql = best(() -> spark.sql(allPairs(layout, data)).collectAsList());
    double pair = best(() -> spark.sql(onePair(layout, data)).collectAsList());
    System.out.printf(
        Locale.ROOT,
        "| %s | %.1f | %.1f | %.2f | %.2f | %.2f | %.2f |%n",
        layout,
        write,
        bytes / 1e6,
        scan,
        all,
        sql,
        pair);
    delete(data);
  }

  private double write(Layout layout, Path data) throws IOException {
    Files.createDirectories(data);
    double seconds = 0;
    for (int part = 0; part < PARTS; part++) {
      RoutingTrace trace = SyntheticTrace.draw(shape, tokens / PARTS, 500, 0.5, part);
      long start = System.nanoTime();
      Path file = data.resolve("part-%d.parquet".formatted(part));
      try (ParquetWriter<Integer> writer = new Builder(file, layout, trace).build()) {
        for (int token = 0; token < trace.tokens(); token++) {
          writer.write(token);
        }
      }

      seconds += (System.nanoTime() - start) / 1e9;
    }

    return seconds;
  }

  private static double best(Runnable work) {
    double best = Double.POSITIVE_INFINITY;
    for (int i = 0; i < REPEATS; i++) {
      long start = System.nanoTime();
      work.run();
      best = Math.min(best, (System.nanoTime() - start) / 1e9);
    }

    return best;
  }

  /** Counts {@code [layer][expert][next expert]} through Spark's internal rows. */
  private long[] scan(Layout layout, Path data) {
    int layers = shape.layers();
    int experts = shape.experts();
    int topK = shape.topK();
    Dataset<Row> rows = spark.read().parquet(data.toString());
    Dataset<Row> needed = rows.selectExpr(layout.needed(shape).toArray(String[]::new));
    FlatMapFunction<Iterator<InternalRow>, long[]> count =
        partition -> {
          long[] counts = new long[(layers - 1) * experts * experts];
          int[] firsts = new int[layers];
          while (partition.hasNext()) {
            layout.firsts(partition.next(), topK, firsts);
            for (int layer = 0; layer + 1 < layers; layer++) {
              counts[(layer * experts + firsts[layer]) * experts + firsts[layer + 1]]++;
            }
          }

          return List.of(counts).iterator();
        };
    return sum(needed, count);
  }

  /** Counts {@code [layer][expert]}, over all ranks, through Spark's internal rows. */
  private long[] scanAll(Layout layout, Path data) {
    int experts = shape.experts();
    int topK = shape.topK();
    int width = shape.choicesPerToken();
    int layers = shape.layers();
    FlatMapFunction<Iterator<InternalRow>, long[]> count =
        partition -> {
          long[] counts = new long[layers * experts];
          int[] choices = new int[width];
          while (partition.hasNext()) {
            layout.all(partition.next(), topK, choices);
            for (int i = 0; i < width; i++) {
              counts[i / topK * experts + choices[i]]++;
            }
          }

          return List.of(counts).iterator();
        };
    return sum(spark.read().parquet(data.toString()), count);
  }

  private static long[] sum(
      Dataset<Row> rows, FlatMapFunction<Iterator<InternalRow>, long[]> count) {
    return rows.queryExecution()
        .toRdd()
        .toJavaRDD()
        .mapPartitions(count)
        .reduce(
            (a, b) -> {
              Arrays.setAll(a, i -> a[i] + b[i]);
              return a;
            });
  }

  private String allPairs(Layout layout, Path data) {
    String table = "parquet.`%s`".formatted(data);
    if (!layout.top1Of(shape, "layer").isEmpty()) {
      return "SELECT layer, %s AS a, %s AS b, count(*) FROM (SELECT experts, explode(sequence(0, %d)) AS layer FROM %s) GROUP BY 1, 2, 3"
          .formatted(
              layout.top1Of(shape, "layer"),
              layout.top1Of(shape, "layer + 1"),
              shape.layers() - 2,
              table);
    }

    String pairs =
        IntStream.range(0, shape.layers() - 1)
            .mapToObj(
                l -> "%d, %s, %s".formatted(l, layout.top1(shape, l), layout.top1(shape, l + 1)))
            .collect(Collectors.joining(", "));
    return "SELECT layer, a, b, count(*) FROM (SELECT stack(%d, %s) AS (layer, a, b) FROM %s) GROUP BY 1, 2, 3"
        .formatted(shape.layers() - 1, pairs, table);
  }

  private String onePair(Layout layout, Path data) {
    int layer = shape.layers() / 2;
    return "SELECT %s AS a, %s AS b, count(*) FROM parquet.`%s` GROUP BY 1, 2"
        .formatted(layout.top1(shape, layer - 1), layout.top1(shape, layer), data);
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }

  private static final class Builder extends ParquetWriter.Builder<Integer, Builder> {
    private final Layout layout;
    private final RoutingTrace trace;

    Builder(Path file, Layout layout, RoutingTrace trace) {
      super(new LocalOutputFile(file));
      this.layout = layout;
      this.trace = trace;
      withCompressionCodec(CompressionCodecName.valueOf(System.getProperty("codec", "SNAPPY")));
    }

    @Override
    protected Builder self() {
      return this;
    }

    @Override
    @SuppressWarnings("deprecation") // abstract still
    protected WriteSupport<Integer> getWriteSupport(Configuration configuration) {
      return new Support(layout, trace);
    }
  }

  private static final class Support extends WriteSupport<Integer> {
    private final Layout layout;
    private final RoutingTrace trace;
    private RecordConsumer out;

    Support(Layout layout, RoutingTrace trace) {
      this.layout = layout;
      this.trace = trace;
    }

    @Override
    @SuppressWarnings("deprecation") // abstract still
    public WriteContext init(Configuration configuration) {
      MessageType schema =
          MessageTypeParser.parseMessageType(
              "message t { %s }".formatted(layout.columns(trace.shape())));
      return new WriteContext(schema, Map.of());
    }

    @Override
    public void prepareForWrite(RecordConsumer consumer) {
      out = consumer;
    }

    @Override
    public void write(Integer token) {
      out.startMessage();
      layout.write(out, trace, token);
      out.endMessage();
    }
  }

  @Test
  @EnabledIfSystemProperty(named = "schema.benchmark", matches = ".+")
  void measureAll() throws IOException {
    main(System.getProperty("schema.benchmark").split(" "));
  }

  @Test
  void verify(@TempDir Path temp) throws IOException {
    try (SparkSession spark = session()) {
      ModelShape small = new ModelShape(5, 8, 2);
      SchemaBenchmark benchmark = SchemaBenchmark.of(spark, temp, small, 400);
      long[] expected = new long[4 * 64];
      for (int part = 0; part < PARTS; part++) {
        RoutingTrace trace = SyntheticTrace.draw(small, 100, 500, 0.5, part);
        for (int t = 0; t < 100; t++) {
          for (int l = 0; l < 4; l++) {
            expected[(l * 8 + trace.expert(t, l, 0)) * 8 + trace.expert(t, l + 1, 0)]++;
          }
        }
      }

      for (Layout layout : Layout.values()) {
        Path data = temp.resolve(layout.name());
        benchmark.write(layout, data);
        assertThat(benchmark.scan(layout, data)).as("%s", layout).isEqualTo(expected);
        assertThat(Arrays.stream(benchmark.scanAll(layout, data)).sum()).isEqualTo(400 * 5 * 2);
        long[] sql = new long[expected.length];
        for (Row row : spark.sql(benchmark.allPairs(layout, data)).collectAsList()) {
          int layer = row.getInt(0);
          int a = ((Number) row.get(1)).intValue();
          int b = ((Number) row.get(2)).intValue();
          sql[(layer * 8 + a) * 8 + b] = row.getLong(3);
        }

        assertThat(sql).as("%s in SQL", layout).isEqualTo(expected);
        long pairs =
            spark.sql(benchmark.onePair(layout, data)).collectAsList().stream()
                .mapToLong(row -> row.getLong(2))
                .sum();
        assertThat(pairs).isEqualTo(400);
      }
    }
  }
}
