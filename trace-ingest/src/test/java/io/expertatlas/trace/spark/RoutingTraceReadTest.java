package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import io.expertatlas.trace.arrow.TraceVectors;
import io.expertatlas.trace.format.NpyWriter;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.parquet.DatasetFolder;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class RoutingTraceReadTest {
  private static final RoutingTrace TRACE =
      SyntheticTrace.draw(new ModelShape(3, 8, 2), 100, 10, 0.5, 1); // 10 sequences of 10

  private static SparkSession spark;

  @TempDir private Path temp;

  @BeforeAll
  static void start() {
    spark = SparkSessions.local();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  @AfterEach
  void allVectorsAreClosed() {
    assertThat(TraceVectors.allocatedBytes()).isZero();
  }

  private static DataFrameReader reader() {
    return spark.read().format("routing-trace");
  }

  private Dataset<Row> table() {
    return reader().load(temp.toString());
  }

  private static RoutingTrace plain(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  static Stream<Long> seeds() {
    return io.expertatlas.trace.Cases.seeded(12);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void anyPartOfADatasetIsWhatThePlainReaderGives(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    RoutingTrace trace = Traces.random(seed, random.nextBoolean());
    DatasetFolder.write(temp, trace, 1 + random.nextInt(200), 1 + random.nextInt(60));
    int from = random.nextInt(200);
    int to = from + 1 + random.nextInt(300);
    int sequence = random.nextInt(5) * 1_000_003;
    int position = random.nextInt(60);
    int layers = trace.shape().layers();
    int layer = random.nextInt(layers);

    Dataset<Row> rows =
        reader()
            .option("tokens", from + ":" + to)
            .option("layers", layer + "," + (layers - 1) + ":")
            .option("split-tokens", 1 + random.nextInt(150))
            .option("batch-tokens", 1 + random.nextInt(40))
            .load(temp.toString())
            .where("sequence <> %d AND position < %d".formatted(sequence, position));

    RoutingTrace part = plain(TraceSource.of(temp), new TokenRange(from, to));
    RoutingTrace kept =
        part.select(t -> part.sequence(t) != sequence && part.position(t) < position);
    int[] chosen = layer == layers - 1 ? new int[] {layer} : new int[] {layer, layers - 1};
    assertThat(TraceRows.of(rows)).isEqualTo(TraceRows.of(kept, chosen));
    assertThat(TraceRows.explain(rows)).doesNotContainPattern("\\bFilter\\b");
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void anyPartOfAnArrayIsWhatThePlainReaderGives(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    RoutingTrace trace = Traces.random(seed, false);
    Path file = temp.resolve("a.npy");
    NpyWriter.write(file, trace);
    int from = random.nextInt(200);
    int to = from + 1 + random.nextInt(300);

    Dataset<Row> rows =
        reader()
            .option("experts", trace.shape().experts())
            .option("tokens", from + ":" + to)
            .option("split-tokens", 1 + random.nextInt(150))
            .option("batch-tokens", 1 + random.nextInt(40))
            .load(file.toString());

    int[] all = IntStream.range(0, trace.shape().layers()).toArray();
    TraceSource source = TraceSource.of(file).withExperts(trace.shape().experts());
    assertThat(TraceRows.of(rows))
        .isEqualTo(TraceRows.of(plain(source, new TokenRange(from, to)), all));
  }

  @Test
  void aCaptureIsTheSameTable() {
    Path capture = Golden.path("format/good/capture");
    RoutingTrace trace = Golden.capture();

    Dataset<Row> rows = reader().option("split-tokens", 2).load(capture.toString());

    assertThat(TraceRows.of(rows))
        .isEqualTo(TraceRows.of(trace, IntStream.range(0, trace.shape().layers()).toArray()));
    assertThat(rows.schema().toDDL())
        .isEqualTo(
            "sequence INT NOT NULL,position INT NOT NULL,phase TINYINT NOT NULL,"
                + "experts ARRAY<SMALLINT> NOT NULL,weights ARRAY<FLOAT> NOT NULL");
    assertThat(rows.schema().apply("experts").metadata().json())
        .isEqualTo("{\"top-k\":2,\"layers\":3,\"experts\":11}");
    assertThat(rows.rdd().getNumPartitions()).isEqualTo(4);
  }

  @Test
  void sequenceAndPositionFilesAreUsed() {
    Dataset<Row> rows =
        reader()
            .option("experts", Golden.EXPERTS)
            .option("sequence-file", Golden.path("format/good/sequence.npy").toString())
            .option("position-file", Golden.path("format/good/position.npy").toString())
            .load(Golden.path("format/good/c-u1.npy").toString());
    RoutingTrace capture = Golden.capture();

    for (int token = 0; token < capture.tokens(); token++) {
      Row row = rows.collectAsList().get(token);
      assertThat(row.getInt(0)).isEqualTo(capture.sequence(token));
      assertThat(row.getInt(1)).isEqualTo(capture.position(token));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0:1,1",
    "0:1,1000",
    "9:10,7",
    "9:11,7",
    "10:20,10",
    "19:41,10",
    "34:35,1",
    "34:36,1000",
    "35:,3",
    "99:,1",
    "99:200,1000",
    "100:,1",
    "5:95,1",
    "5:95,7",
    "5:95,10",
    ":,33",
    ":,35",
    ":,36",
    ":,1000"
  })
  void splitsAtEveryKindOfEdgeLoseAndRepeatNothing(String tokens, int splitTokens)
      throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10); // parts at 35, 70; row groups at 10, 20, 30, 45, ...
    NpyWriter.write(temp.resolve("a.npy"), TRACE);
    DataFrameReader reader = reader().option("tokens", tokens).option("split-tokens", splitTokens);

    List<String> dataset = TraceRows.of(reader.load(temp.toString()));
    List<String> raw =
        TraceRows.of(
            reader
                .option("experts", 8)
                .load(temp.resolve("a.npy").toString())
                .selectExpr("0", "0", "0Y", "experts"));

    TokenRange range = TokenRange.parse(tokens);
    RoutingTrace expected = plain(TraceSource.of(temp), range);
    assertThat(dataset).isEqualTo(TraceRows.of(expected, 0, 1, 2));
    assertThat(raw)
        .isEqualTo(
            TraceRows.of(expected, 0, 1, 2).stream()
                .map(line -> line.replaceFirst("^\\d+@\\d+", "0@0"))
                .toList());
  }

  /** Splits at, before and behind the places at which a format itself begins anew. */
  @ParameterizedTest
  @CsvSource({
    "tables/many.jsonl, ':', 1024", // begins anew at every 1024th line
    "tables/many.jsonl, ':', 1023",
    "tables/many.jsonl, ':', 1025",
    "tables/many.jsonl, '1020:1030', 1",
    "flame-moe/iter_0540, ':', 1", // row groups of 40, 11 and 16 rows
    "flame-moe/iter_0540, ':', 11",
    "flame-moe/iter_0540, '10:34', 6",
    "flame-moe/iter_0540, ':', 99",
    "megatron/routes, ':', 1", // micro-batches of 3 and 4 tokens on 2 ranks
    "megatron/routes, ':', 3",
    "megatron/routes, '2:27', 4",
    "trtllm/good, ':', 2", // iterations of 3 and 4 tokens on 2 ranks
    "dumps/sglang-per-token, ':', 2",
    "tables/cells.csv, ':', 2",
    "compressed/routes.npy.gz, ':', 2", // one task
    "compressed/one.npz, ':', 3",
  })
  void splitsOfEveryKindOfFileLoseAndRepeatNothing(String name, String tokens, int splitTokens) {
    Path path = Golden.path("format/" + name);
    TraceSource source = TraceSource.of(path);
    DataFrameReader reader = reader().option("tokens", tokens).option("split-tokens", splitTokens);
    if (!name.matches("(trtllm|dumps)/.*")) {
      int experts = name.startsWith("flame") ? 13 : 11;
      source = source.withExperts(experts);
      reader = reader.option("experts", experts);
    }

    RoutingTrace expected = plain(source, TokenRange.parse(tokens));
    int[] layers = IntStream.range(0, expected.shape().layers()).toArray();
    Dataset<Row> table = reader.load(path.toString());
    assertThat(TraceRows.of(table)).isEqualTo(TraceRows.of(expected, layers));
    boolean splits = TraceFormat.find(source).isSplittable(source);
    assertThat(table.rdd().getNumPartitions())
        .isEqualTo(splits ? (expected.tokens() + splitTokens - 1) / splitTokens : 1);
  }

  @Test
  void tasksHoldWholeRowGroupsUpToTheWantedTokens() throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10); // row groups 10 10 10 5, 10 10 10 5, 10 10 10

    assertThat(reader().option("split-tokens", 10).load(temp.toString()).rdd().getNumPartitions())
        .isEqualTo(11);
    assertThat(reader().option("split-tokens", 20).load(temp.toString()).rdd().getNumPartitions())
        .isEqualTo(6);
    assertThat(reader().option("split-tokens", 70).load(temp.toString()).rdd().getNumPartitions())
        .isEqualTo(2);
    assertThat(table().rdd().getNumPartitions()).isEqualTo(1);
  }

  @Test
  void explainShowsWhatWasPushed() throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10);
    Dataset<Row> rows =
        reader()
            .option("layers", "1:3")
            .load(temp.toString())
            .where("sequence BETWEEN 2 AND 4 AND (position = 3 OR position > 7) AND phase = 0")
            .select("experts");

    assertThat(TraceRows.explain(rows))
        .contains(
            "routing-trace dataset %s (3 MoE layers x 8 experts, top-2), columns [phase, experts], layers 1:3, "
                    .formatted(temp)
                + "pushed [sequence in 2..4 and position in 3, 8..], 2 of 3 parts, 35 of 100 tokens, 1 tasks")
        .containsPattern("Filter \\(phase#\\d+ = 0\\)\n");
    assertThat(rows.collectAsList()).hasSize(9);
    assertThat(rows.first().getList(0)).hasSize(4);
  }

  @Test
  void prunedRowGroupsAreNotRead() throws IOException, TimeoutException {
    DatasetFolder.write(temp, TRACE, 50, 10);
    AtomicLong read = new AtomicLong();
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onTaskEnd(SparkListenerTaskEnd end) {
            read.addAndGet(end.taskMetrics().inputMetrics().recordsRead());
          }
        };
    spark.sparkContext().addSparkListener(listener);
    Dataset<Row> rows = table().where("sequence = 7");
    rows.collectAsList();
    spark.sparkContext().listenerBus().waitUntilEmpty();
    spark.sparkContext().removeSparkListener(listener);

    assertThat(read.get()).isEqualTo(10);
    assertThat(TraceRows.explain(rows)).contains("1 of 2 parts, 10 of 100 tokens, 1 tasks");
    assertThat(table().where("sequence = 77").count()).isZero();
    assertThat(TraceRows.explain(table().where("sequence = 77"))).contains("0 of 2 parts");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "sequence = 3; 10",
        "sequence <=> 3; 10",
        "sequence <> 3; 90",
        "NOT sequence = 3; 90",
        "sequence IN (1, 3, 99); 20",
        "sequence NOT IN (1, 3, 99); 80",
        "sequence > 7; 20",
        "sequence >= 7; 30",
        "sequence < 2; 20",
        "sequence <= 2; 30",
        "sequence IS NULL; 0",
        "sequence IS NOT NULL; 100",
        "sequence = 1 OR sequence > 8; 20",
        "position < 0; 0",
        "sequence > -1; 100",
        "sequence > 3 AND position = 9; 6",
        "NOT (sequence > 3 AND sequence < 6); 80",
        "sequence > 2147483646; 0"
      })
  void filtersAreExact(String filter, int rows) throws IOException {
    DatasetFolder.write(temp, TRACE, 33, 7);

    assertThat(table().where(filter).collectAsList()).hasSize(rows);
    assertThat(table().where(filter).count()).isEqualTo(rows);
    assertThat(TraceRows.explain(table().where(filter))).doesNotContainPattern("\\bFilter\\b");
  }

  @Test
  void whatCannotBePushedIsLeftToSpark() throws IOException {
    DatasetFolder.write(temp, TRACE, 33, 7);
    Dataset<Row> rows = table().where("sequence = 1 OR position = 1").select("experts");

    assertThat(rows.collectAsList()).hasSize(19);
    assertThat(TraceRows.explain(rows)).containsPattern("\\bFilter\\b").contains("pushed []");
    assertThat(table().where("sequence % 2 = 0").count()).isEqualTo(50);
  }

  @Test
  void columnsAreReadInAnyOrderAndAlone() throws IOException {
    DatasetFolder.write(temp, TRACE, 33, 7);

    Row row = table().select("experts", "sequence").collectAsList().get(25);
    assertThat(row.getList(0).get(4)).isEqualTo((short) TRACE.expert(25, 2, 0));
    assertThat(row.getInt(1)).isEqualTo(2);
    assertThat(TraceRows.sum(table(), "position")).isEqualTo(450);
    assertThat(table().count()).isEqualTo(100);
    assertThat(table().limit(3).collectAsList()).hasSize(3);
    assertThat(TraceRows.explain(table().select("position"))).contains("columns [position],");
  }

  @ParameterizedTest
  @CsvSource({"0:100,1000", "7:93,1", "7:93,30", "50:51,1"})
  void theIndexOfATokenCanBeAskedFor(String tokens, int splitTokens) throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10);
    NpyWriter.write(temp.resolve("a.npy"), TRACE);
    DataFrameReader reader = reader().option("tokens", tokens).option("split-tokens", splitTokens);
    TokenRange range = TokenRange.parse(tokens);
    List<Long> all = new ArrayList<>();
    List<Long> some = new ArrayList<>();
    for (long token = range.from(); token < range.to(); token++) {
      all.add(token);
      if (TRACE.sequence((int) token) % 3 == 1) {
        some.add(token);
      }
    }

    Dataset<Row> dataset =
        reader.load(temp.toString()).where("sequence IN (1, 4, 7)").select("_token");
    Dataset<Row> raw =
        reader.option("experts", 8).load(temp.resolve("a.npy").toString()).select("_token");
    assertThat(dataset.collectAsList()).extracting(row -> row.getLong(0)).isEqualTo(some);
    assertThat(raw.collectAsList()).extracting(row -> row.getLong(0)).isEqualTo(all);
    assertThat(table().columns()).doesNotContain("_token");
  }

  @Test
  void optionsOfTheFormatAreHandedOn() throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10);

    assertThatThrownBy(() -> reader().option("format-option.top-k", 2).load(temp.toString()))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage("Unknown option of format dataset: top-k, it has none");
    assertThatThrownBy(
            () ->
                reader()
                    .option("experts", 11)
                    .option("format-option.zebra", 2)
                    .load(Golden.path("format/good/c-u1.npy").toString()))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith("Unknown option of format npy: zebra");
  }

  @Test
  void rowCountsAreStatistics() throws IOException {
    DatasetFolder.write(temp, TRACE, 50, 10);

    assertThat(TraceRows.explainCost(table())).contains("rowCount=100");
    assertThat(TraceRows.explainCost(table().where("sequence = 7"))).contains("rowCount=10)");
  }

  @Test
  void anEmptyTraceIsAnEmptyTable() throws IOException {
    DatasetFolder.write(temp, SyntheticTrace.draw(new ModelShape(1, 1, 1), 0, 1, 0, 1), 10);

    assertThat(table().count()).isZero();
    assertThat(table().where("sequence = 1").collectAsList()).isEmpty();
    assertThat(
            reader()
                .option("experts", 11)
                .load(Golden.path("format/good/empty.npy").toString())
                .collectAsList())
        .isEmpty();
  }

  @Test
  void idsAboveShortsAreInts() throws IOException {
    ModelShape shape = new ModelShape(2, 65_536, 2);
    RoutingTrace trace =
        RoutingTrace.ofExperts(shape, new short[] {0, -1, 32_767, -32_768, 5, 4, -2, 3});
    DatasetFolder.write(temp, trace, 10);

    assertThat(TraceRows.of(table())).isEqualTo(TraceRows.of(trace, 0, 1));
    assertThat(table().schema().apply("experts").dataType().catalogString())
        .isEqualTo("array<int>");
    assertThat(TraceRows.of(reader().option("layers", "1").load(temp.toString())))
        .isEqualTo(TraceRows.of(trace, 1));
  }

  @Test
  void datasetsAreReadOnAnyFileSystem() throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10);
    String elsewhere = "elsewhere://" + temp;

    assertThat(TraceRows.of(reader().load(elsewhere))).isEqualTo(TraceRows.of(TRACE, 0, 1, 2));
    assertThat(reader().load(elsewhere).where("sequence > 8").count()).isEqualTo(10);
    assertThat(TraceRows.explain(reader().load(elsewhere))).contains("dataset elsewhere:");
    assertThat(reader().load("file://" + temp).count()).isEqualTo(100);
  }

  @Test
  void rawFilesElsewhereAreRefused() throws IOException {
    NpyWriter.write(temp.resolve("a.npy"), TRACE);

    assertThatThrownBy(() -> reader().option("experts", 8).load("elsewhere://" + temp + "/a.npy"))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot read elsewhere://%s/a.npy: it is no routing-trace dataset, and other formats are read from local or mounted paths only. Maybe mount or copy it",
            temp);
  }

  @Test
  void oddNamesAreReadAsTheyStand() throws IOException {
    Path odd = temp.resolve("a [b] {c} %20 +*");
    DatasetFolder.write(odd, TRACE, 35, 10);

    assertThat(reader().load(odd.toString()).where("sequence = 3").count()).isEqualTo(10);
    assertThat(reader().option("path", odd.toString()).load().count()).isEqualTo(100);
  }

  @Test
  void everyProblemWithTheOptionsIsSaidAtOnce() {
    assertThatThrownBy(
            () ->
                reader()
                    .option("expert", 8)
                    .option("experts", 0)
                    .option("tokens", "9:3")
                    .option("split-tokens", "many")
                    .load())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Cannot read routing-trace: unknown option 'expert', known are [batch-tokens, experts, format, format-option., layers, path, position-file, sequence-file, split-tokens, tokens]; missing option 'path'; option 'experts' is '0', expected a whole number from 1 to 65536; option 'tokens': Invalid token range: 9:3, FROM at least 0 and below TO; option 'split-tokens' is 'many', expected a whole number from 1 to 9223372036854775807");
  }

  @Test
  void anOptionWinsOverTheConfOfTheSession() throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10);
    spark.conf().set("spark.datasource.routing-trace.tokens", "0:7");
    try {
      assertThat(table().count()).isEqualTo(7);
      assertThat(reader().option("tokens", ":3").load(temp.toString()).count()).isEqualTo(3);
    } finally {
      spark.conf().unset("spark.datasource.routing-trace.tokens");
    }
  }

  @Test
  void layersOutsideTheModelAreRefused() throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10);

    assertThatThrownBy(() -> reader().option("layers", "1,3").load(temp.toString()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid layers: '3' in 1,3, the model has layers 0 to 2");
    assertThatThrownBy(() -> reader().option("layers", "2:1").load(temp.toString()))
        .hasMessage("Invalid layers: '2:1' in 2:1, the model has layers 0 to 2");
    assertThatThrownBy(() -> reader().option("layers", "x").load(temp.toString()))
        .hasMessage("Invalid layers: 'x' in x, expected LAYER or FROM:TO");
  }

  @Test
  void aSchemaOfOnesOwnMustBeTheTables() throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10);

    assertThat(
            reader()
                .schema("sequence INT, position INT, phase TINYINT, experts ARRAY<SMALLINT>")
                .load(temp.toString())
                .count())
        .isEqualTo(100);
    assertThatThrownBy(() -> reader().schema("a INT").load(temp.toString()).count())
        .hasMessageContaining("as struct<a:int>: its schema is struct<sequence:int,")
        .hasMessageContaining("Maybe leave the schema out");
  }

  private static String rootMessage(Dataset<Row> rows) {
    Throwable failure = catchThrowable(rows::collectAsList);
    assertThat(failure).isNotNull();
    while (failure.getCause() != null && !(failure instanceof TraceFormatException)) {
      failure = failure.getCause();
    }

    assertThat(failure).isInstanceOf(TraceFormatException.class);
    assertThat(failure.getMessage().lines()).hasSize(1);
    return failure.getMessage();
  }

  @Test
  void whatIsBrokenInADatasetIsSaidInOneLine() throws IOException {
    TraceManifest manifest = DatasetFolder.write(temp, TRACE, 50, 10);
    Path part = temp.resolve(manifest.parts().get(1).file());
    byte[] bytes = Files.readAllBytes(part);

    byte[] flipped = bytes.clone();
    flipped[200] ^= 1;
    Files.write(part, flipped);
    assertThat(rootMessage(table())).startsWith("Cannot read " + part + " as Parquet: ");

    byte[] footer = bytes.clone();
    footer[bytes.length - 1] ^= 1;
    Files.write(part, footer);
    assertThat(rootMessage(table())).startsWith("Cannot read " + part + " as Parquet: ");

    Files.write(part, java.util.Arrays.copyOf(bytes, bytes.length - 7));
    assertThat(rootMessage(table()))
        .isEqualTo(
            "Invalid part of the dataset: %s has %d bytes, by the manifest %d"
                .formatted(part, bytes.length - 7, bytes.length));

    Files.delete(part);
    assertThat(rootMessage(table()))
        .isEqualTo("Missing part of the dataset: %s, which its manifest names".formatted(part));
    assertThat(rootMessage(reader().load("elsewhere://" + temp)))
        .startsWith("Missing part of the dataset: elsewhere:");

    Files.writeString(temp.resolve("manifest.json"), "{");
    assertThatThrownBy(this::table)
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith("Invalid JSON in %s/manifest.json:".formatted(temp));
  }

  @Test
  void whatIsBrokenInARawFileIsSaidInOneLine() {
    Path broken = Golden.path("format/broken/id-too-high.npy");
    Dataset<Row> rows = reader().option("experts", Golden.EXPERTS).load(broken.toString());

    assertThat(rootMessage(rows)).startsWith("Invalid expert id").contains(broken.toString());
    assertThatThrownBy(() -> reader().load(broken.toString()))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith("Missing number of experts:");
    assertThatThrownBy(() -> reader().load(temp.resolve("none").toString()))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage("Cannot read %s: no such file or folder", temp.resolve("none"));
    assertThatThrownBy(() -> reader().option("format", "dataset").load(temp.toString()))
        .hasMessage("Cannot read dataset %s: it has no manifest.json", temp);
    assertThatThrownBy(() -> reader().option("format", "npz9").load(broken.toString()))
        .hasMessageStartingWith("Invalid trace format: npz9, known are");
  }

  @Test
  void joinsAndAggregatesSeeTheSameNumbers() throws IOException {
    DatasetFolder.write(temp, TRACE, 35, 10);
    Dataset<Row> counts =
        table()
            .select(functions.expr("experts[0]").as("a"), functions.expr("experts[2]").as("b"))
            .groupBy("a", "b")
            .count();
    long[] twin = new long[64];
    for (int token = 0; token < TRACE.tokens(); token++) {
      twin[TRACE.expert(token, 0, 0) * 8 + TRACE.expert(token, 1, 0)]++;
    }

    long[] found = new long[64];
    for (Row row : new ArrayList<>(counts.collectAsList())) {
      found[row.getShort(0) * 8 + row.getShort(1)] = row.getLong(2);
    }

    assertThat(found).isEqualTo(twin);
  }
}
