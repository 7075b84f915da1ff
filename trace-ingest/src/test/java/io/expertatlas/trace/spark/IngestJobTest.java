package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import io.expertatlas.trace.format.NpyWriter;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifestParser;
import io.expertatlas.trace.parquet.DatasetFolder;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import io.expertatlas.trace.terminal.StageProgress;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class IngestJobTest {
  private static SparkSession spark;

  @TempDir private Path temp;

  @BeforeAll
  static void start() {
    spark =
        SparkSession.builder()
            .master("local[2]")
            .config("spark.ui.enabled", false)
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "localhost")
            .config("spark.sql.shuffle.partitions", 2)
            .getOrCreate();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private TraceManifest ingest(boolean overwrite, TraceSource... sources) {
    return new IngestJob(
            JavaSparkContext.fromSparkContext(spark.sparkContext()), overwrite, StageProgress.NONE)
        .run(List.of(sources), temp.resolve("dataset"));
  }

  private TraceSource npy(String name, RoutingTrace trace) throws IOException {
    Path file = temp.resolve(name);
    NpyWriter.write(file, trace);
    return TraceSource.of(file).withExperts(trace.shape().experts());
  }

  private RoutingTrace read() {
    return read(TraceSource.of(temp.resolve("dataset")));
  }

  private static RoutingTrace read(TraceSource source) {
    try (TraceReader reader = TraceFormat.openTrace(source)) {
      return Traces.readAll(reader);
    }
  }

  private List<String> left() throws IOException {
    try (Stream<Path> files = Files.list(temp)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void aCaptureBecomesADatasetWithEverything() {
    TraceManifest manifest = ingest(false, TraceSource.of(Golden.path("format/good/capture")));

    assertThat(Traces.describe(read())).isEqualTo(Traces.describe(Golden.capture()));
    assertThat(TraceManifestParser.read(temp.resolve("dataset"))).isEqualTo(manifest);
    assertThat(manifest.sequences()).isEqualTo(3);
    assertThat(manifest.weights()).isTrue();
    assertThat(manifest.sources().get(0).files())
        .extracting(TraceManifest.InputFile::name)
        .containsExactly("capture.json");
  }

  @Test
  void anArrayACaptureAndADatasetOfTheSameRoutesAreTheSame() throws IOException {
    TraceSource array =
        new TraceSource(
            Golden.path("format/good/fortran-be-i4.npy"),
            "",
            OptionalInt.of(Golden.EXPERTS),
            Optional.of(Golden.path("format/good/sequence.npy")),
            Optional.of(Golden.path("format/good/position.npy")));
    ingest(false, array);
    RoutingTrace viaSpark = read();
    DatasetFolder.write(temp.resolve("alone"), viaSpark, 2);

    String routes = Traces.describe(read(array));
    assertThat(Traces.describe(viaSpark)).isEqualTo(routes);
    assertThat(Traces.describe(read(TraceSource.of(temp.resolve("alone"))))).isEqualTo(routes);
    RoutingTrace capture = read(TraceSource.of(Golden.path("format/good/capture")));
    assertThat(Traces.choices(capture)).isEqualTo(Traces.choices(viaSpark));
    for (int token = 0; token < 7; token++) {
      assertThat(capture.sequence(token)).isEqualTo(viaSpark.sequence(token));
      assertThat(capture.position(token)).isEqualTo(viaSpark.position(token));
    }
  }

  @Test
  void partsKeepTheOrderOfTheTokens() throws IOException {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(20, 300, 20), 30_000, 77, 0.5, 1);

    TraceManifest manifest = ingest(false, npy("a.npy", trace));

    assertThat(manifest.parts()).hasSize(3);
    assertThat(Traces.choices(read())).isEqualTo(Traces.choices(trace));
    assertThat(manifest.sequences()).isEqualTo(1);
  }

  @Test
  void severalInputsGetSequencesOfTheirOwn() throws IOException {
    RoutingTrace one = SyntheticTrace.draw(new ModelShape(2, 11, 2), 50, 10, 0.5, 1);
    RoutingTrace two = SyntheticTrace.draw(new ModelShape(2, 11, 2), 30, 10, 0.5, 2);
    DatasetFolder.write(temp.resolve("one"), one, 20);
    DatasetFolder.write(temp.resolve("two"), two, 20);

    TraceManifest manifest =
        ingest(false, TraceSource.of(temp.resolve("one")), TraceSource.of(temp.resolve("two")));

    RoutingTrace both = read();
    assertThat(manifest.sequences()).isEqualTo(8);
    assertThat(manifest.sources())
        .extracting(TraceManifest.Source::sequenceOffset)
        .containsExactly(0L, 5L);
    assertThat(both.sequence(49)).isEqualTo(4);
    assertThat(both.sequence(50)).isEqualTo(5);
    assertThat(both.sequence(79)).isEqualTo(7);
    assertThat(Traces.choices(both))
        .isEqualTo(Traces.choices(Traces.concat(one.shape(), false, List.of(one, two))));
  }

  @Test
  void anEmptyTraceBecomesAnEmptyDataset() {
    TraceManifest manifest =
        ingest(false, TraceSource.of(Golden.path("format/good/empty.npy")).withExperts(11));

    assertThat(manifest.tokens()).isZero();
    assertThat(manifest.parts()).hasSize(1);
    assertThat(read().tokens()).isZero();
    assertThat(spark.read().parquet(temp.resolve("dataset/*.parquet").toString()).count()).isZero();
  }

  @Test
  void inputsMustBeOfOneModel() throws IOException {
    TraceSource one = npy("a.npy", SyntheticTrace.draw(new ModelShape(2, 8, 2), 5, 9, 0, 1));
    TraceSource two = npy("b.npy", SyntheticTrace.draw(new ModelShape(3, 8, 2), 5, 9, 0, 1));

    assertThatThrownBy(() -> ingest(false, one, two))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot ingest %s (2 MoE layers x 8 experts, top-2) with %s (3 MoE layers x 8 experts, top-2): one dataset is of one model"
                .formatted(one.path(), two.path()));
    assertThatThrownBy(
            () ->
                ingest(
                    false,
                    TraceSource.of(Golden.path("format/good/capture")),
                    TraceSource.of(Golden.path("format/good/c-u1.npy")).withExperts(11)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("capture (has router weights) with")
        .hasMessageContaining("c-u1.npy (has none)");
    assertThat(left()).containsExactly("a.npy", "b.npy");
  }

  @Test
  void aBrokenInputLeavesNothingBehind() throws IOException {
    TraceSource source = npy("a.npy", SyntheticTrace.draw(new ModelShape(2, 8, 2), 50, 9, 0, 1));

    assertThatThrownBy(() -> ingest(false, source.withExperts(4)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageMatching(
            "Invalid expert id [4-7] in .*a.npy at token \\d+, layer \\d, rank \\d: the model has experts 0 to 3.*");
    assertThat(left()).containsExactly("a.npy");
  }

  @Test
  void anExistingDatasetIsReplacedOnlyOnRequest() throws IOException {
    RoutingTrace one = SyntheticTrace.draw(new ModelShape(2, 8, 2), 50, 9, 0, 1);
    RoutingTrace two = SyntheticTrace.draw(new ModelShape(2, 8, 2), 60, 9, 0, 2);
    ingest(false, npy("a.npy", one));

    assertThatThrownBy(() -> ingest(false, npy("b.npy", two)))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContaining("it exists already. Maybe add --overwrite");
    assertThat(read().tokens()).isEqualTo(50);
    assertThatThrownBy(() -> ingest(true, npy("b.npy", two).withExperts(1)))
        .isInstanceOf(TraceFormatException.class);
    assertThat(read().tokens()).isEqualTo(50);
    ingest(true, npy("b.npy", two));
    assertThat(read().tokens()).isEqualTo(60);
    assertThat(left()).containsExactly("a.npy", "b.npy", "dataset");
  }

  @Test
  void whatIsNoDatasetIsNeverReplaced() throws IOException {
    Files.createDirectory(temp.resolve("dataset"));
    Files.writeString(temp.resolve("dataset/thesis.txt"), "precious");

    assertThatThrownBy(() -> ingest(true, TraceSource.of(Golden.path("format/good/capture"))))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContaining("it holds thesis.txt, which no routing-trace dataset has");
    assertThat(temp.resolve("dataset/thesis.txt")).hasContent("precious");
  }

  @Test
  void plainSparkReadsTheDocumentedColumns() {
    ingest(false, TraceSource.of(Golden.path("format/good/capture")));
    Dataset<Row> rows = spark.read().parquet(temp.resolve("dataset/*.parquet").toString());

    assertThat(rows.schema().toDDL().replace(" NOT NULL", ""))
        .isEqualTo(
            "sequence INT,position INT,phase TINYINT,experts ARRAY<SMALLINT>,weights ARRAY<FLOAT>");
    long[] twin = new long[2 * 11 * 11];
    RoutingTrace trace = Golden.capture();
    for (int token = 0; token < trace.tokens(); token++) {
      for (int layer = 0; layer < 2; layer++) {
        twin[
            (layer * 11 + trace.expert(token, layer, 0)) * 11
                + trace.expert(token, layer + 1, 0)]++;
      }
    }

    rows.createOrReplaceTempView("trace");
    List<Row> counts =
        new ArrayList<>(
            spark
                .sql(
                    "SELECT layer, experts[layer * 2] AS a, experts[(layer + 1) * 2] AS b, count(*)"
                        + " FROM (SELECT experts, explode(sequence(0, 1)) AS layer FROM trace)"
                        + " GROUP BY 1, 2, 3")
                .collectAsList());
    long[] found = new long[twin.length];
    for (Row row : counts) {
      found[(row.getInt(0) * 11 + row.getShort(1)) * 11 + row.getShort(2)] = row.getLong(3);
    }

    assertThat(found).isEqualTo(twin);
  }
}
