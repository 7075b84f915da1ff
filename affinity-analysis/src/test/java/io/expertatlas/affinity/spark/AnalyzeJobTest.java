package io.expertatlas.affinity.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.affinity.AffinityCases;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.affinity.InMemoryEstimator;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.TokenGroups;
import io.expertatlas.affinity.TraceAnalysis;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifestParser;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import io.expertatlas.trace.terminal.StageProgress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class AnalyzeJobTest {
  private static JavaSparkContext spark;
  @TempDir private Path home;

  @BeforeAll
  static void start() {
    spark =
        new JavaSparkContext(
            new SparkConf()
                .setMaster("local[2]")
                .setAppName("test")
                .set("spark.ui.enabled", "false")
                .set("spark.driver.host", "localhost")
                .set("spark.driver.bindAddress", "127.0.0.1"));
  }

  @AfterAll
  static void stop() {
    spark.close();
  }

  static Stream<Long> seeds() {
    return io.expertatlas.trace.Cases.seeded(12);
  }

  static Stream<Long> fewSeeds() {
    return io.expertatlas.trace.Cases.seeded(5);
  }

  private TraceSource raw(RoutingTrace trace) throws IOException {
    Path file = home.resolve("trace.npy");
    Path sequences = home.resolve("sequence.npy");
    AffinityCases.writeNpy(trace, file);
    AffinityCases.writeSequences(trace, sequences);
    return new TraceSource(
        file,
        "",
        OptionalInt.of(trace.shape().experts()),
        Optional.of(sequences),
        Optional.empty());
  }

  /** The dataset of a trace, in a folder whose name Spark could take for a pattern. */
  private TraceSource dataset(RoutingTrace trace, int parts) throws IOException {
    Path folder = Files.createDirectory(home.resolve("a {b} [c] %20"));
    ModelShape shape = trace.shape();
    StructType schema =
        new StructType()
            .add("sequence", DataTypes.IntegerType, false)
            .add("position", DataTypes.IntegerType, false)
            .add("phase", DataTypes.ByteType, false)
            .add("experts", DataTypes.createArrayType(DataTypes.ShortType, false), false);
    boolean weighted = trace.tokens() > 0 && trace.hasWeights();
    if (weighted) {
      schema = schema.add("weights", DataTypes.createArrayType(DataTypes.FloatType, false), false);
    }

    List<TraceManifest.Part> written = new ArrayList<>();
    for (int part = 0; part < parts; part++) {
      List<Row> rows = new ArrayList<>();
      for (int t = trace.tokens() * part / parts; t < trace.tokens() * (part + 1) / parts; t++) {
        rows.add(row(trace, t, weighted));
      }

      Path out = home.resolve("out-" + part);
      SparkSession session = SparkSession.builder().getOrCreate();
      session.createDataFrame(rows, schema).coalesce(1).write().parquet(out.toString());
      try (Stream<Path> files = Files.list(out)) {
        Path file =
            files.filter(path -> path.toString().endsWith(".parquet")).findFirst().orElseThrow();
        Path named = Files.move(file, folder.resolve("part-%05d.parquet".formatted(part)));
        written.add(
            new TraceManifest.Part(
                named.getFileName().toString(), rows.size(), Files.size(named), "0".repeat(64)));
      }
    }

    TraceManifest manifest =
        new TraceManifest(
            shape,
            trace.tokens(),
            0,
            weighted,
            "test",
            List.of(new TraceManifest.Source("test", "test", trace.tokens(), 0, List.of())),
            written);
    Files.writeString(folder.resolve(TraceManifest.FILE), TraceManifestParser.toJson(manifest));
    return TraceSource.of(folder);
  }

  private static Row row(RoutingTrace trace, int token, boolean weighted) {
    List<Short> experts = new ArrayList<>();
    List<Float> weights = new ArrayList<>();
    for (int layer = 0; layer < trace.shape().layers(); layer++) {
      for (int rank = 0; rank < trace.shape().topK(); rank++) {
        experts.add((short) trace.expert(token, layer, rank));
        if (weighted) {
          weights.add(trace.weight(token, layer, rank));
        }
      }
    }

    Object[] values = {
      trace.sequence(token), trace.position(token), (byte) 0, experts.toArray(new Short[0])
    };
    if (!weighted) {
      return RowFactory.create(values);
    }

    return RowFactory.create(
        values[0], values[1], values[2], values[3], weights.toArray(new Float[0]));
  }

  private static TokenSelection selection(RoutingTrace trace, SplittableRandom random) {
    int from = random.nextInt(Math.max(1, trace.tokens() / 2));
    return new TokenSelection(
        new TokenRange(from, from + 1 + random.nextInt(1 + trace.tokens())),
        random.nextBoolean() ? Sequences.ALL : Sequences.parse("%2=0,5:"));
  }

  private static RouteCounts expected(RoutingTrace trace, TokenSelection selection) {
    return InMemoryEstimator.count(selection.of(AffinityCases.reader(trace, 17)));
  }

  private static AnalyzeJob job(int partitions) {
    return new AnalyzeJob(spark, StageProgress.NONE, partitions);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void rawFilesCountAsInMemory(long seed) throws IOException {
    RoutingTrace drawn = AffinityCases.trace(seed);
    RoutingTrace trace = // an .npy file has no weights
        AffinityCases.unweighted(drawn);
    SplittableRandom random = new SplittableRandom(seed);
    TokenSelection selection = selection(trace, random);
    TraceSource source = raw(trace);

    assertThat(job(1 + random.nextInt(7)).run(source, TokenSelection.ALL))
        .isEqualTo(expected(trace, TokenSelection.ALL));
    RouteCounts part = expected(trace, selection);
    if (part.tokens() > 0) {
      assertThat(job(1 + random.nextInt(7)).run(source, selection)).isEqualTo(part);
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void datasetsCountAsInMemory(long seed) throws IOException {
    RoutingTrace trace = AffinityCases.trace(seed);
    SplittableRandom random = new SplittableRandom(seed);
    TraceSource source = dataset(trace, trace.tokens() == 0 ? 0 : 1 + random.nextInt(4));

    assertThat(job(0).run(source, TokenSelection.ALL))
        .isEqualTo(expected(trace, TokenSelection.ALL));
    TokenSelection selection = selection(trace, random);
    RouteCounts part = expected(trace, selection);
    if (part.tokens() > 0) {
      assertThat(job(0).run(source, selection)).isEqualTo(part);
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("fewSeeds")
  void everythingElseIsCountedAsInMemoryForAnyPartitions(long seed) throws IOException {
    RoutingTrace trace = AffinityCases.unweighted(AffinityCases.trace(seed));
    if (trace.tokens() == 0) {
      return;
    }

    SplittableRandom random = new SplittableRandom(seed);
    List<Integer> lags = trace.shape().layers() > 2 ? List.of(1, 2) : List.of();
    TokenGroups groups =
        seed % 3 == 0 ? TokenGroups.PHASE : seed % 3 == 1 ? TokenGroups.SEQUENCE : TokenGroups.NONE;
    AnalysisPlan plan = new AnalysisPlan(1 + random.nextInt(40), lags, true, groups);
    TraceAnalysis expected = InMemoryEstimator.analyze(AffinityCases.reader(trace, 17), plan);
    TraceSource source = raw(trace);

    TraceAnalysis found = job(1 + random.nextInt(9)).analyze(source, TokenSelection.ALL, plan);
    assertThat(found).usingRecursiveComparison().isEqualTo(expected);
    assertThat(job(0).analyze(dataset(trace, 1 + random.nextInt(4)), TokenSelection.ALL, plan))
        .usingRecursiveComparison()
        .isEqualTo(expected);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("fewSeeds")
  void aSelectionOfADatasetAndOfAFileIsCountedAlike(long seed) throws IOException {
    RoutingTrace trace = AffinityCases.unweighted(AffinityCases.trace(seed));
    SplittableRandom random = new SplittableRandom(seed);
    TokenSelection selection = selection(trace, random);
    if (expected(trace, selection).tokens() == 0) {
      return;
    }

    AnalysisPlan plan = new AnalysisPlan(9, List.of(), true, TokenGroups.NONE);
    TraceAnalysis found = job(1 + random.nextInt(9)).analyze(raw(trace), selection, plan);
    assertThat(found.counts()).isEqualTo(expected(trace, selection));
    assertThat(found.whole().windows().windows().get(0).index()).isBetween(0L, 20L);
    assertThat(job(0).analyze(dataset(trace, 1 + random.nextInt(4)), selection, plan))
        .usingRecursiveComparison()
        .isEqualTo(found);
  }

  @Test
  void oneJobForOnePass() throws Exception {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(3, 8, 2), 400, 10, 0.5, 1);
    TraceSource source = dataset(trace, 3);
    SparkSession.builder().getOrCreate();
    AtomicInteger jobs = new AtomicInteger();
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onJobStart(SparkListenerJobStart start) {
            jobs.incrementAndGet();
          }
        };
    spark.sc().listenerBus().waitUntilEmpty(10_000);
    spark.sc().addSparkListener(listener);
    AnalysisPlan plan = new AnalysisPlan(50, List.of(1, 2), true, TokenGroups.SEQUENCE);
    job(0).analyze(source, TokenSelection.ALL, plan);
    spark.sc().listenerBus().waitUntilEmpty(10_000);
    spark.sc().removeSparkListener(listener);

    assertThat(jobs).hasValue(1);
  }

  @Test
  void progressIsTold() throws IOException {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(3, 8, 2), 400, 10, 0.5, 1);
    List<String> told = new ArrayList<>();
    StageProgress progress =
        new StageProgress() {
          @Override
          public void started(String stage, int tasks) {
            told.add(stage + " " + tasks);
          }

          @Override
          public void advanced() {}

          @Override
          public void ended() {
            told.add("ended");
          }
        };

    new AnalyzeJob(spark, progress, 3).run(raw(trace), TokenSelection.ALL);

    assertThat(told).containsExactly("Count routes 3", "ended");
  }

  @Test
  void selectionsOfNothingAreRefused() throws IOException {
    TraceSource source = raw(SyntheticTrace.draw(new ModelShape(2, 4, 1), 40, 10, 0.5, 1));

    assertThatThrownBy(
            () -> job(2).run(source, new TokenSelection(TokenRange.parse("40:"), Sequences.ALL)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageEndingWith("none of its 40 tokens is in the selection (tokens 40:)");
    assertThatThrownBy(
            () -> job(2).run(source, new TokenSelection(TokenRange.ALL, Sequences.parse("99"))))
        .hasMessageContaining("none of its 40 tokens is in the selection");
  }

  @Test
  void whatATaskFindsIsSaidOnTheDriver() throws IOException {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(2, 9, 2), 60, 10, 0.5, 1);
    TraceSource tooFew = raw(trace).withExperts(4);
    assertThatThrownBy(() -> job(3).run(tooFew, TokenSelection.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("Invalid expert id")
        .hasMessageContaining("trace.npy");

    TraceSource source = dataset(trace, 2);
    Path manifest = source.path().resolve(TraceManifest.FILE);
    String json = Files.readString(manifest);
    Files.writeString(manifest, json.replace("\"experts\" : 9", "\"experts\" : 3"));
    assertThatThrownBy(() -> job(0).run(source, TokenSelection.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("column experts holds")
        .hasMessageContaining("expected 0 to 2");
    Files.writeString(manifest, json.replace("\"layers\" : 2", "\"layers\" : 3"));
    assertThatThrownBy(() -> job(0).run(source, TokenSelection.ALL))
        .hasMessageContaining("column experts holds no list of 6");
  }
}
