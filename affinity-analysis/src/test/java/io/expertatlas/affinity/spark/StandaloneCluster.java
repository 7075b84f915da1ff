package io.expertatlas.affinity.spark;

import io.expertatlas.trace.SparkSubmit;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A Spark standalone master and its workers, each a process of its own, on the loopback address;
 * out of a Spark home that {@link SparkSubmit} has laid out. All end when it is closed.
 */
final class StandaloneCluster implements AutoCloseable {
  private static final long PATIENCE_MILLIS = 180_000;

  private final Path home;
  private final int port;
  private final int web;
  private final List<Process> processes = new ArrayList<>(); // master, workers

  private StandaloneCluster(Path home) throws IOException {
    this.home = home;
    port = freePort();
    web = freePort();
  }

  /** Starts a master and workers of one core each, and waits until all are there. */
  static StandaloneCluster start(Path home, int workers) throws IOException, InterruptedException {
    StandaloneCluster cluster = new StandaloneCluster(home);
    try {
      cluster.launch(
          "master",
          List.of(
              "org.apache.spark.deploy.master.Master",
              "--host",
              "127.0.0.1",
              "--port",
              String.valueOf(cluster.port),
              "--webui-port",
              String.valueOf(cluster.web)));
      for (int worker = 0; worker < workers; worker++) {
        cluster.launch(
            "worker-" + worker,
            List.of(
                "org.apache.spark.deploy.worker.Worker",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--webui-port",
                "0",
                "--cores",
                "1",
                "--memory",
                "1g",
                "--work-dir",
                cluster.work(worker).toString(),
                cluster.url()));
      }

      cluster.awaitWorkers("ALIVE", workers);
      return cluster;
    } catch (IOException | InterruptedException | RuntimeException e) {
      cluster.close();
      throw e;
    }
  }

  String url() {
    return "spark://127.0.0.1:" + port;
  }

  /** The folder in which a worker keeps the logs of its executors. */
  Path work(int worker) {
    return home.resolve("work-" + worker);
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  private void launch(String name, List<String> arguments) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(SparkSubmit.opens());
    command.addAll(List.of("-Xmx256m", "-cp", home.resolve("jars") + "/*"));
    command.addAll(arguments);
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(home.toFile())
            .redirectErrorStream(true)
            .redirectOutput(home.resolve(name + ".log").toFile());
    Map<String, String> environment = builder.environment();
    environment.put("SPARK_HOME", home.toString());
    environment.put("SPARK_SCALA_VERSION", "2.13");
    environment.put("SPARK_LOCAL_IP", "127.0.0.1");
    environment.put("SPARK_LOCAL_HOSTNAME", "localhost");
    environment.put("JAVA_HOME", System.getProperty("java.home"));
    processes.add(builder.start());
  }

  /** Waits until the master knows so many workers in a state, ALIVE or DEAD. */
  void awaitWorkers(String state, int expected) throws IOException, InterruptedException {
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MILLIS);
    String said = "nothing";
    while (System.nanoTime() < end) {
      if (!processes.get(0).isAlive()) {
        throw new IOException("The master ended: " + Files.readString(home.resolve("master.log")));
      }

      try {
        said =
            HttpClient.newHttpClient()
                .send(
                    HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + web + "/json/"))
                        .timeout(Duration.ofSeconds(5))
                        .build(),
                    HttpResponse.BodyHandlers.ofString())
                .body();
        String spaceless = said.replaceAll("\\s", ""); // "status" is the master's own
        if (spaceless.split("\"state\":\"" + state + "\"", -1).length - 1 == expected) {
          return;
        }
      } catch (IOException e) {
        said = e.toString(); // not up yet
      }

      Thread.sleep(100);
    }

    throw new IOException(
        "The master does not know %d workers that are %s: %s".formatted(expected, state, said));
  }

  /** Kills a worker and its executors, as if its machine were gone. */
  void kill(int worker) throws InterruptedException {
    end(processes.get(1 + worker));
  }

  /** How many tasks the executors of a worker say they have finished. */
  long finishedTasks(int worker) throws IOException {
    if (!Files.isDirectory(work(worker))) {
      return 0;
    }

    long finished = 0;
    try (Stream<Path> files = Files.walk(work(worker), 3)) {
      for (Path log : files.filter(file -> file.endsWith("stderr")).toList()) {
        finished +=
            Files.readString(log).lines().filter(line -> line.contains("Finished task")).count();
      }
    }

    return finished;
  }

  private static void end(Process process) throws InterruptedException {
    List<ProcessHandle> children = process.descendants().toList();
    process.destroyForcibly(); // first, so that it starts no more of them
    children.forEach(ProcessHandle::destroyForcibly);
    process.waitFor(10, TimeUnit.SECONDS);
  }

  @Override
  public void close() throws InterruptedException {
    for (int i = processes.size() - 1; i >= 0; i--) {
      end(processes.get(i));
    }
  }
}
