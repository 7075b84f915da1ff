package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import io.expertatlas.trace.arrow.TraceVectors;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifestParser;
import io.expertatlas.trace.parquet.Checksums;
import io.expertatlas.trace.parquet.DatasetFolder;
import io.expertatlas.trace.parquet.DatasetFormat;
import io.expertatlas.trace.parquet.HadoopDatasetFolder;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.DataFrameWriter;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RoutingTraceWriteTest {
  private static final ModelShape SHAPE = new ModelShape(3, 8, 2);
  private static final RoutingTrace TRACE = SyntheticTrace.draw(SHAPE, 100, 10, 0.5, 1);

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

  private static Dataset<Row> frame(RoutingTrace trace) {
    StructType schema =
        StructType.fromDDL(
            "sequence INT, position INT, phase TINYINT, experts ARRAY<"
                + (trace.shape().experts() <= 1 << 15 ? "SMALLINT" : "INT")
                + ">"
                + (trace.hasWeights() ? ", weights ARRAY<FLOAT>" : ""));
    return spark.createDataFrame(TraceRows.rows(trace), schema);
  }

  private static DataFrameWriter<Row> writer(Dataset<Row> rows, ModelShape shape) {
    return rows.write()
        .format("routing-trace")
        .mode("append")
        .option("layers", shape.layers())
        .option("experts", shape.experts())
        .option("top-k", shape.topK());
  }

  private static RoutingTrace read(Path dataset) {
    try (TraceReader reader = new DatasetFormat().open(TraceSource.of(dataset))) {
      return Traces.readAll(reader);
    }
  }

  private List<String> left() throws IOException {
    try (Stream<Path> files = Files.list(temp)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  static Stream<Long> seeds() {
    return io.expertatlas.trace.Cases.seeded(8);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void whatIsWrittenIsRead(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    RoutingTrace trace = Traces.random(seed, random.nextBoolean());
    Path output = temp.resolve("d");

    writer(frame(trace).coalesce(1 + random.nextInt(2)), trace.shape()).save(output.toString());

    int[] all = IntStream.range(0, trace.shape().layers()).toArray();
    assertThat(TraceRows.of(spark.read().format("routing-trace").load(output.toString())))
        .isEqualTo(TraceRows.of(trace, all));
    TraceManifest manifest = TraceManifestParser.read(output);
    assertThat(manifest.shape()).isEqualTo(trace.shape());
    assertThat(manifest.sequences())
        .isEqualTo(IntStream.range(0, trace.tokens()).map(trace::sequence).distinct().count());
    for (Part part : manifest.parts()) {
      assertThat(Checksums.sha256(output.resolve(part.file()))).isEqualTo(part.sha256());
    }

    assertThat(left()).containsExactly("d");
    try (Stream<Path> files = Files.list(output)) {
      assertThat(files).hasSize(manifest.parts().size() + 1);
    }
  }

  @Test
  void whatWasReadNeedsNoShape() throws IOException {
    DatasetFolder.write(temp.resolve("one"), TRACE, 35);

    spark
        .read()
        .format("routing-trace")
        .option("layers", "1:")
        .load(temp.resolve("one").toString())
        .where("sequence % 2 = 0")
        .write()
        .format("routing-trace")
        .mode("append")
        .save(temp.resolve("two").toString());

    RoutingTrace two = read(temp.resolve("two"));
    assertThat(two.shape()).isEqualTo(new ModelShape(2, 8, 2));
    RoutingTrace kept = TRACE.select(t -> TRACE.sequence(t) % 2 == 0);
    assertThat(TraceRows.of(two, 0, 1)).isEqualTo(TraceRows.of(kept, 1, 2));
  }

  @Test
  void idsMayBeIntsAndColumnsInAnyOrder() throws IOException {
    Dataset<Row> rows =
        frame(TRACE)
            .selectExpr("phase", "cast(experts as array<int>) experts", "sequence", "position");

    writer(rows, SHAPE).save(temp.resolve("d").toString());

    assertThat(Traces.describe(read(temp.resolve("d")))).isEqualTo(Traces.describe(TRACE));
  }

  @Test
  void datasetsAreWrittenOnAnyFileSystem() throws IOException {
    writer(frame(TRACE), SHAPE).save("elsewhere://" + temp.resolve("d"));

    assertThat(Traces.describe(read(temp.resolve("d")))).isEqualTo(Traces.describe(TRACE));
    writer(frame(TRACE.slice(0, 3)), SHAPE)
        .mode("overwrite")
        .save("elsewhere://" + temp.resolve("d"));
    assertThat(read(temp.resolve("d")).tokens()).isEqualTo(3);
    assertThat(left()).containsExactly("d");
  }

  @Test
  void anExistingDatasetIsReplacedOnlyOnRequest() throws IOException {
    String output = temp.resolve("d").toString();
    writer(frame(TRACE), SHAPE).save(output);

    assertThatThrownBy(() -> writer(frame(TRACE), SHAPE).save(output))
        .hasMessageContaining(
            "Cannot write %s: it exists already. Maybe use mode overwrite".formatted(output));
    writer(frame(TRACE.slice(0, 3)), SHAPE).mode("overwrite").save(output);
    assertThat(read(temp.resolve("d")).tokens()).isEqualTo(3);
    assertThat(left()).containsExactly("d");
  }

  @Test
  void whatIsNoDatasetIsNeverReplaced() throws IOException {
    Files.createDirectory(temp.resolve("d"));
    Files.writeString(temp.resolve("d/thesis.txt"), "precious");

    assertThatThrownBy(
            () -> writer(frame(TRACE), SHAPE).mode("overwrite").save(temp.resolve("d").toString()))
        .hasMessageContaining("it holds thesis.txt, which no routing-trace dataset has");
    assertThat(temp.resolve("d/thesis.txt")).hasContent("precious");
    assertThat(left()).containsExactly("d");
  }

  @Test
  void aFailingTaskLeavesNothing() throws IOException {
    Dataset<Row> broken =
        frame(TRACE)
            .repartition(2)
            .withColumn(
                "experts",
                functions.expr(
                    "if(sequence = 7 and position = 3, cast(array(0, 1, 2, 8, 4, 5) as array<smallint>), experts)"));

    assertThat(rootMessage(writer(broken, SHAPE), "d"))
        .matches(
            "Invalid expert id 8 in row \\d+ of a task \\(sequence 7, position 3\\) at layer 1, rank 1: the model has experts 0 to 7");
    assertThat(left()).isEmpty();
    writer(frame(TRACE), SHAPE).save(temp.resolve("d").toString());
    assertThat(rootMessage(writer(broken, SHAPE).mode("overwrite"), "d")).contains("Invalid");
    assertThat(Traces.describe(read(temp.resolve("d")))).isEqualTo(Traces.describe(TRACE));
    assertThat(left()).containsExactly("d");
  }

  private String rootMessage(DataFrameWriter<Row> writer, String name) {
    Throwable failure = catchThrowable(() -> writer.save(temp.resolve(name).toString()));
    assertThat(failure).isNotNull();
    while (!(failure instanceof TraceFormatException)) {
      assertThat(failure.getCause()).as(failure.toString()).isNotNull();
      failure = failure.getCause();
    }

    return failure.getMessage();
  }

  private String refused(String column, String expression) {
    Dataset<Row> rows = frame(TRACE.slice(0, 1)).withColumn(column, functions.expr(expression));
    return rootMessage(writer(rows, SHAPE), "d");
  }

  @Test
  void everyValueIsChecked() throws IOException {
    String place = "row 0 of a task (sequence 0, position 0)";
    assertThat(refused("sequence", "-1"))
        .isEqualTo("Invalid sequence -1 in row 0 of a task: at least 0");
    assertThat(refused("position", "cast(null as int)"))
        .isEqualTo("Invalid position null in row 0 of a task: at least 0");
    assertThat(refused("phase", "2Y"))
        .isEqualTo("Invalid phase 2 in %s: 0 (prefill) or 1 (decode)".formatted(place));
    assertThat(refused("experts", "array(1S, 2S)"))
        .isEqualTo("Invalid experts in %s: 2 elements, expected 6 of %s".formatted(place, SHAPE));
    assertThat(refused("experts", "array(1S, 2S, 3S, 3S, 4S, 5S)"))
        .isEqualTo(
            "Invalid top-2 at token 0, layer 1: expert 3 stands at ranks 0 and 1 (tokens counted from row 0 of a task)");
    assertThat(refused("experts", "array(1S, 2S, null, 3S, 4S, 5S)"))
        .isEqualTo(
            "Invalid expert id null in %s at layer 1, rank 0: the model has experts 0 to 7"
                .formatted(place));
    assertThat(refused("weights", "array(1f, 2f, float('NaN'), 3f, 4f, 5f)"))
        .isEqualTo(
            "Invalid router weight NaN in %s at layer 1, rank 0: it must be finite"
                .formatted(place));
    assertThat(left()).isEmpty();
  }

  @Test
  void everyProblemIsSaidAtOnce() {
    assertThatThrownBy(
            () ->
                frame(TRACE)
                    .selectExpr("sequence", "cast(position as bigint) position", "experts", "1 a")
                    .write()
                    .format("routing-trace")
                    .mode("append")
                    .option("top-k", 0)
                    .option("compression", "none")
                    .save(temp.resolve("d").toString()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Cannot write routing-trace: unknown option 'compression', known are [experts, layers, path, top-k]; column 'position' is bigint, expected int; column 'a' is none of [sequence, position, phase, experts, weights]; column 'phase' is missing; missing option 'layers': the column experts does not say it as metadata; missing option 'experts': the column experts does not say it as metadata; option 'top-k' is '0', expected a whole number from 1 to 65536");
  }

  @Test
  void oneOfSeveralAttemptsIsTaken() throws IOException {
    org.apache.hadoop.fs.Path output = new org.apache.hadoop.fs.Path("file:" + temp.resolve("d"));
    Configuration conf = new Configuration();
    HadoopDatasetFolder folder = new HadoopDatasetFolder(output, "x", false, conf);
    folder.begin();
    StructType schema = frame(TRACE).schema();
    List<InternalRow> rows =
        List.of(frame(TRACE.slice(0, 10)).queryExecution().executedPlan().executeCollect());
    TraceDataWriter.Written first = null;
    for (int attempt = 0; attempt < 2; attempt++) {
      TraceDataWriter writer = attempt(folder, attempt, schema, conf);
      for (InternalRow row : rows) {
        writer.write(row);
      }

      TraceDataWriter.Written written = (TraceDataWriter.Written) writer.commit();
      writer.close();
      first = attempt == 0 ? written : first;
    }

    TraceDataWriter killed = attempt(folder, 2, schema, conf);
    killed.write(rows.get(0));
    folder.accept(first.file(), "part-00000.parquet");
    folder.commit(
        new TraceManifest(
            SHAPE,
            10,
            1,
            false,
            "test",
            List.of(new TraceManifest.Source("q", "spark", 10, 0, List.of())),
            List.of(new Part("part-00000.parquet", 10, first.bytes(), first.sha256()))));

    assertThat(Traces.describe(read(temp.resolve("d"))))
        .isEqualTo(Traces.describe(TRACE.slice(0, 10)));
    assertThat(temp.resolve("d")).isDirectoryNotContaining("glob:**attempt*");
    assertThat(left()).containsExactly("d");
  }

  private static TraceDataWriter attempt(
      HadoopDatasetFolder folder, int attempt, StructType schema, Configuration conf) {
    return new TraceDataWriter(
        conf, folder.aside().toString(), "attempt-0-" + attempt, SHAPE, false, schema);
  }
}
