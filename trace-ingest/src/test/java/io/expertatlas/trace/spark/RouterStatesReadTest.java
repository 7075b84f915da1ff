package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.arrow.TraceVectors;
import io.expertatlas.trace.parquet.DatasetFolder;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The hidden columns of router states, against the plain reader. */
class RouterStatesReadTest {
  private static final String CAPTURE = "good/capture-states";
  private static final String APTMOE = "dumps/aptmoe-mixtral";
  private static final String MEGATRON = "megatron/good";
  private static final String LOGITS = "router-logits/layers.safetensors";

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

  private static List<String> options(String name) {
    return switch (name) {
      case APTMOE -> List.of("top-k=2");
      case LOGITS -> List.of("top-k=3");
      default -> List.of();
    };
  }

  private static TraceSource source(String name) {
    return new TraceSource(
        Golden.path("format/" + name),
        "",
        OptionalInt.empty(),
        Optional.empty(),
        Optional.empty(),
        FormatOptions.parse(options(name)));
  }

  private static DataFrameReader reader(String name) {
    DataFrameReader reader = spark.read().format("routing-trace");
    for (String option : options(name)) {
      String[] parts = option.split("=");
      reader = reader.option("format-option." + parts[0], parts[1]);
    }

    return reader;
  }

  private static Dataset<Row> table(String name) {
    return reader(name).load(Golden.path("format/" + name).toString());
  }

  /** A line for each token of some layers, of what is there. */
  private static List<String> plain(
      String name, TokenRange range, Predicate<Integer> sequences, int... layers) {
    List<String> lines = new ArrayList<>();
    TraceSource source = source(name);
    try (RouterStatesReader reader = RouterStatesFormat.find(source).open(source, range)) {
      for (Optional<RouterStates> next = reader.next(); next.isPresent(); next = reader.next()) {
        RouterStates states = next.get();
        for (int token = 0; token < states.tokens(); token++) {
          if (sequences.test(states.routes().sequence(token))) {
            lines.add(line(states, token, layers));
          }
        }
      }
    }

    return lines;
  }

  private static String line(RouterStates states, int token, int... layers) {
    List<Integer> experts = new ArrayList<>();
    List<Float> inputs = new ArrayList<>();
    List<Float> scores = new ArrayList<>();
    RoutingTrace routes = states.routes();
    for (int layer : layers) {
      for (int rank = 0; rank < routes.shape().topK(); rank++) {
        experts.add(routes.expert(token, layer, rank));
      }

      for (int i = 0; i < states.hiddenSize(); i++) {
        inputs.add(states.hidden(token, layer, i));
      }

      for (int e = 0; states.scores() != Scores.NONE && e < routes.shape().experts(); e++) {
        scores.add(states.score(token, layer, e));
      }
    }

    return "%d@%d %s %s %s"
        .formatted(routes.sequence(token), routes.position(token), experts, inputs, scores);
  }

  private static List<String> lines(Dataset<Row> rows) {
    boolean inputs = !List.of(rows.columns()).contains("no_input");
    List<String> lines = new ArrayList<>();
    for (Row row : rows.collectAsList()) {
      lines.add(
          "%d@%d %s %s %s"
              .formatted(
                  row.getInt(0),
                  row.getInt(1),
                  row.getList(2),
                  inputs ? row.getList(3) : "[]",
                  row.getList(4)));
    }

    return lines;
  }

  private static Dataset<Row> states(Dataset<Row> table, String name) {
    return name.equals(LOGITS)
        ? table.selectExpr("sequence", "position", "experts", "0 AS no_input", "_router_scores")
        : table.select("sequence", "position", "experts", "_router_input", "_router_scores");
  }

  private static int[] layers(String name) {
    TraceSource source = source(name);
    try (RouterStatesReader reader = RouterStatesFormat.openStates(source)) {
      return IntStream.range(0, reader.shape().layers()).toArray();
    }
  }

  @ParameterizedTest
  @CsvSource({
    CAPTURE + ", 1, 1",
    CAPTURE + ", 2, 3",
    CAPTURE + ", 99, 1",
    APTMOE + ", 1, 2",
    APTMOE + ", 3, 99",
    MEGATRON + ", 4, 3",
    MEGATRON + ", 99, 5",
    LOGITS + ", 2, 2"
  })
  void statesAreWhatThePlainReaderGives(String name, int splitTokens, int batchTokens) {
    Dataset<Row> table =
        reader(name)
            .option("split-tokens", splitTokens)
            .option("batch-tokens", batchTokens)
            .load(Golden.path("format/" + name).toString());
    List<String> expected = plain(name, TokenRange.ALL, sequence -> true, layers(name));
    assertThat(lines(states(table, name))).isEqualTo(expected).isNotEmpty();
    assertThat(table.rdd().getNumPartitions())
        .isEqualTo((expected.size() + splitTokens - 1) / splitTokens);
  }

  @ParameterizedTest
  @CsvSource({CAPTURE + ", 1:4", APTMOE + ", 2:", MEGATRON + ", 5:21", LOGITS + ", :3"})
  void layersRangesAndSequencesAreCutOut(String name, String range) {
    int[] all = layers(name);
    int last = all[all.length - 1];
    int sequence = table(name).select("sequence").first().getInt(0);
    Dataset<Row> table =
        reader(name)
            .option("tokens", range)
            .option("layers", last)
            .option("split-tokens", 2)
            .load(Golden.path("format/" + name).toString());
    TokenRange tokens = TokenRange.parse(range);
    assertThat(lines(states(table, name))).isEqualTo(plain(name, tokens, s -> true, last));
    Dataset<Row> others = states(table.where("sequence <> " + sequence), name);
    assertThat(lines(others)).isEqualTo(plain(name, tokens, s -> s != sequence, last));
    assertThat(TraceRows.explain(others)).doesNotContainPattern("\\bFilter\\b");
  }

  @Test
  void layersApartAreReadTogether() {
    Dataset<Row> table =
        reader(APTMOE).option("layers", "0,2").load(Golden.path("format/" + APTMOE).toString());
    assertThat(layers(APTMOE)).hasSizeGreaterThan(2);
    assertThat(lines(states(table, APTMOE)))
        .isEqualTo(plain(APTMOE, TokenRange.ALL, sequence -> true, 0, 2));
  }

  @Test
  void weightsComeWithThem() {
    Row row =
        table(CAPTURE).selectExpr("_router_scores", "weights", "_token").collectAsList().get(3);
    assertThat(row.getList(1)).isEqualTo(table(CAPTURE).collectAsList().get(3).getList(4));
    assertThat(row.getLong(2)).isEqualTo(3);
  }

  @Test
  void metadataTellsWhatTheyAre() {
    Dataset<Row> rows =
        reader(CAPTURE)
            .option("layers", "1")
            .load(Golden.path("format/" + CAPTURE).toString())
            .select("_router_input", "_router_scores");
    assertThat(rows.schema().apply("_router_input").metadata().getLong("layers")).isEqualTo(1);
    assertThat(rows.schema().apply("_router_input").metadata().getLong("hidden-size")).isEqualTo(4);
    assertThat(rows.schema().apply("_router_scores").metadata().getLong("layers")).isEqualTo(1);
    assertThat(rows.schema().apply("_router_scores").metadata().getLong("experts")).isEqualTo(11);
    assertThat(rows.schema().apply("_router_scores").metadata().getString("scores"))
        .isEqualTo("logits");
    assertThat(
            table(APTMOE).select("_router_scores").schema().apply(0).metadata().getString("scores"))
        .isEqualTo("probabilities");
  }

  @Test
  void hiddenUnlessNamed() {
    assertThat(table(CAPTURE).columns())
        .containsExactly("sequence", "position", "phase", "experts", "weights");
    assertThat(TraceRows.explain(table(CAPTURE))).doesNotContain("hidden size");
  }

  @Test
  void explainShowsThem() {
    assertThat(TraceRows.explain(table(CAPTURE).where("sequence > 0").select("_router_input")))
        .contains(
            "routing-trace capture %s (2 MoE layers x 11 experts, top-2), columns [_router_input], "
                    .formatted(Golden.path("format/" + CAPTURE))
                + "hidden size 4, scores logits, layers 0:2, pushed [sequence in 1..], "
                + "5 of 5 tokens, 1 tasks");
    assertThat(TraceRows.explainCost(table(CAPTURE).select("_router_input", "_router_scores")))
        .contains("sizeInBytes=" + 5 * (8 + 4 * 2 * (4 + 11)) + ".0 B, rowCount=5");
  }

  @Test
  void absentStatesAreRefused() throws IOException {
    Path capture = Files.createDirectory(temp.resolve("capture"));
    try (Stream<Path> files = Files.list(Golden.path("format/good/capture"))) {
      for (Path file : files.toList()) {
        Files.copy(file, capture.resolve(file.getFileName().toString()));
      }
    }

    Path description = capture.resolve("capture.json");
    String text = Files.readString(description);
    Dataset<Row> inputs = spark.read().format("routing-trace").load(capture.toString());
    assertThatThrownBy(() -> inputs.select("_router_scores").collect())
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot read _router_scores of capture %s: it holds hidden states, but no router scores",
            capture);
    Files.delete(capture.resolve("hidden.npy"));
    Files.writeString(description, text.replace("hidden.npy", "other.npy"));
    Dataset<Row> plain = spark.read().format("routing-trace").load(capture.toString());
    assertThatThrownBy(() -> plain.select("_router_input").collect())
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot read router states from capture %s: it names neither hidden.npy nor logits.npy",
            capture);

    Dataset<Row> array =
        spark
            .read()
            .format("routing-trace")
            .option("experts", 11)
            .load(Golden.path("format/good/c-u1.npy").toString());
    assertThatThrownBy(() -> array.select("experts", "_router_scores").collect())
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith(
            "Cannot read router states from %s: format npy holds routes, but no router states",
            Golden.path("format/good/c-u1.npy"));

    assertThatThrownBy(() -> table(LOGITS).select("_router_input").collect())
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot read _router_input of router-logits %s: it holds router scores, but no hidden states",
            Golden.path("format/" + LOGITS));

    DatasetFolder.write(
        temp,
        SyntheticTrace.draw(new io.expertatlas.trace.ModelShape(2, 4, 1), 9, 3, 0.5, 1),
        9,
        9);
    Dataset<Row> dataset = spark.read().format("routing-trace").load(temp.toString());
    assertThatThrownBy(() -> dataset.select("_router_scores").collect())
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot read router states from %s: a routing-trace dataset holds routes only", temp);
    assertThat(dataset.select("_token").count()).isEqualTo(9);
  }

  @Test
  void theyAreNotWritten() {
    Dataset<Row> rows =
        table(CAPTURE).select("sequence", "position", "phase", "experts", "_router_input");
    assertThatThrownBy(
            () ->
                rows.write()
                    .format("routing-trace")
                    .mode("append")
                    .save(temp.resolve("T").toString()))
        .hasMessageContaining("column '_router_input' is none of [sequence, position");
    assertThat(temp.resolve("T")).doesNotExist();
  }

  @Test
  void batchesOfLongInputsAreSmall() {
    SparkTraceReadConf conf =
        new SparkTraceReadConf(
            new org.apache.spark.sql.util.CaseInsensitiveStringMap(java.util.Map.of("path", "p")));
    assertThat(conf.batchTokens(64, 32 * 4104)).isEqualTo(31);
    assertThat(conf.batchTokens(64, 1 << 23)).isEqualTo(1);
    assertThat(conf.batchTokens(64, 10)).isEqualTo(2048);
    assertThat(
            RouterFacts.valuesOfToken(
                Arrays.asList("experts", "_router_input"),
                new io.expertatlas.trace.ModelShape(3, 4, 1),
                LayerSelection.parse("1:", new io.expertatlas.trace.ModelShape(3, 4, 1)),
                9))
        .isEqualTo(18);
  }
}
