package io.expertatlas.trace;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Runs a job jar as {@code spark-submit} does, in a JVM of its own, without a Spark distribution:
 * for the integration tests of the modules that have one.
 *
 * <p>A {@code local-cluster} master starts executors from {@code $SPARK_HOME/jars}. So a folder is
 * laid out whose {@code jars/} links to the Spark jars of a module's {@code target/lib}, without
 * what the job jar must bring itself, and {@code SPARK_HOME} and {@code SPARK_SCALA_VERSION} (which
 * Spark would look for in a build folder) are set.
 */
public final class SparkSubmit {
  private static final long MINUTES = 3;

  private final Path home;
  private final List<String> options;

  private SparkSubmit(Path home, List<String> options) {
    this.home = home;
    this.options = List.copyOf(options);
  }

  /**
   * How a run ended.
   *
   * @param exitCode of the JVM
   * @param out what it wrote to stdout
   * @param err what it wrote to stderr
   */
  public record Result(int exitCode, String out, String err) {}

  /**
   * Lays out a Spark home.
   *
   * @param home an empty folder
   * @param lib the module's {@code target/lib}
   * @param notOf prefixes of jars to leave out, besides the project's own and those of picocli, the
   *     progress bar and its jline
   */
  public static SparkSubmit in(Path home, Path lib, String... notOf) throws IOException {
    List<String> left =
        new ArrayList<>(
            List.of(
                "trace-ingest",
                "affinity-analysis",
                "placement-solver",
                "picocli",
                "progressbar",
                "jline",
                "spark-connect-shims")); // empty twins of Spark's own classes
    left.addAll(List.of(notOf));
    Path jars = Files.createDirectories(home.resolve("jars"));
    try (Stream<Path> files = Files.list(lib)) {
      for (Path file : files.sorted().toList()) {
        String name = file.getFileName().toString();
        if (name.endsWith(".jar") && left.stream().noneMatch(name::startsWith)) {
          Files.createSymbolicLink(jars.resolve(name), file.toAbsolutePath());
        }
      }
    }

    return new SparkSubmit(home, List.of());
  }

  /** The same with further options of {@code spark-submit}. */
  public SparkSubmit with(String... more) {
    List<String> all = new ArrayList<>(options);
    all.addAll(List.of(more));
    return new SparkSubmit(home, all);
  }

  /**
   * Runs a job to its end.
   *
   * @param master such as {@code local-cluster[2,1,1024]}: 2 workers of 1 core and 1024 MiB
   * @param arguments of the main class
   */
  public Result run(String master, Path jobJar, String mainClass, List<String> arguments)
      throws IOException, InterruptedException {
    if (!Files.isRegularFile(jobJar)) {
      throw new IOException("No job jar at %s: it is built in phase package".formatted(jobJar));
    }

    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // what spark-submit gives the driver on Java 17
    command.addAll(opens());
    command.addAll(
        List.of(
            "-Xmx1g",
            "-cp",
            home.resolve("jars") + "/*",
            "org.apache.spark.deploy.SparkSubmit",
            "--master",
            master,
            "--class",
            mainClass,
            "--conf",
            "spark.ui.enabled=false",
            "--conf",
            "spark.driver.host=localhost",
            "--conf",
            "spark.driver.bindAddress=127.0.0.1",
            "--conf",
            "spark.executor.memory=512m"));
    command.addAll(options);
    command.add(jobJar.toString());
    command.addAll(arguments);
    Path out = home.resolve("out.txt");
    Path err = home.resolve("err.txt");
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(home.toFile())
            .redirectOutput(out.toFile())
            .redirectError(err.toFile());
    Map<String, String> environment = builder.environment();
    environment.put("SPARK_HOME", home.toString());
    environment.put("SPARK_SCALA_VERSION", "2.13");
    environment.put("SPARK_LOCAL_IP", "127.0.0.1");
    environment.put("SPARK_LOCAL_HOSTNAME", "localhost");
    Process process = builder.start();
    try {
      if (!process.waitFor(MINUTES, TimeUnit.MINUTES)) {
        throw new IOException(
            "The job still runs after %d minutes: %s".formatted(MINUTES, Files.readString(err)));
      }
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }

    return new Result(process.exitValue(), Files.readString(out), Files.readString(err));
  }

  /** What the JVM of the tests was given of the JDK's modules, which Spark and Arrow need. */
  public static List<String> opens() {
    return ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(argument -> argument.startsWith("--add-opens") || argument.contains("jdk.reflect"))
        .toList();
  }
}
