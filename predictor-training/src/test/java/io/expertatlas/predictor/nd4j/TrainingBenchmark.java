package io.expertatlas.predictor.nd4j;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.OperatingSystemMXBean;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.States;
import io.expertatlas.predictor.store.StateStore;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Training with ND4J against PyTorch, {@code torch_peer.py}: the same architecture, batch and
 * steps, 2 threads each, in turns in one run; and explicit gradients against SameDiff's, by the
 * step.
 *
 * <pre>
 * java -cp 'predictor-training/target/test-classes:predictor-training/target/classes:predictor-training/target/lib/*' \
 *   io.expertatlas.predictor.nd4j.TrainingBenchmark /usr/bin/python3 [ROUNDS]</pre>
 *
 * <p>Prints medians of wall clock and processor seconds.
 */
final class TrainingBenchmark {
  /** What is trained. */
  private record Case(
      int layers, int hidden, int experts, int heads, int tokens, int batch, int epochs, int rank) {
    List<String> words() {
      return IntStream.of(layers, hidden, experts, heads, tokens, batch, epochs, rank)
          .mapToObj(String::valueOf)
          .toList();
    }
  }

  private record Seconds(double wall, double processor) {}

  private static final List<Case> CASES =
      List.of(
          new Case(11, 192, 8, 3, 3584, 128, 20, 0),
          new Case(11, 192, 8, 3, 3584, 128, 20, 32),
          new Case(4, 4096, 8, 3, 1280, 128, 5, 0),
          new Case(4, 4096, 8, 3, 1280, 128, 5, 32));

  @TempDir private Path folder;

  @Test
  void bothTrainers() throws IOException {
    Seconds ours = ours(new Case(2, 16, 4, 2, 64, 16, 2, 3), folder);
    assertThat(ours.wall()).isPositive();
    assertThat(gradientSeconds(new Case(1, 16, 4, 2, 16, 16, 2, 3), 3)).hasSize(2);
  }

  /** Runs the benchmark. */
  public static void main(String[] arguments) throws Exception {
    int rounds = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 5;
    for (Case one : CASES) {
      Path folder = Files.createTempDirectory("training-benchmark");
      List<Seconds> ours = new ArrayList<>();
      List<Seconds> batched = new ArrayList<>();
      List<Seconds> looped = new ArrayList<>();
      ours(one, folder); // warm
      for (int round = 0; round < rounds; round++) {
        ours.add(ours(one, folder));
        List<Seconds> theirs = theirs(arguments[0], one);
        batched.add(theirs.get(0));
        looped.add(theirs.get(1));
      }

      double[] gradients = gradientSeconds(one, 200);
      System.out.printf(
          "%s%n  ND4J %s; PyTorch batched %s, looped %s%n  gradients of a step: explicit %.0f us,"
              + " SameDiff %.0f us%n",
          one,
          median(ours),
          median(batched),
          median(looped),
          1e6 * gradients[0],
          1e6 * gradients[1]);
      try (var files = Files.list(folder)) {
        for (Path file : files.toList()) {
          Files.delete(file);
        }
      }

      Files.delete(folder);
    }
  }

  private static Seconds median(List<Seconds> all) {
    double[] wall = all.stream().mapToDouble(Seconds::wall).sorted().toArray();
    double[] processor = all.stream().mapToDouble(Seconds::processor).sorted().toArray();
    return new Seconds(wall[wall.length / 2], processor[processor.length / 2]);
  }

  private static Seconds ours(Case one, Path folder) throws IOException {
    ModelShape shape = new ModelShape(one.layers() + one.heads(), one.experts(), 2);
    if (!StateStore.isComplete(folder)) {
      States.store(States.draw(shape, one.hidden(), one.tokens(), 1), folder);
    }

    TrainerConfig config =
        new TrainerConfig(
            one.rank() > 0 ? PredictorKind.RESIDUAL : PredictorKind.PRE_GATE,
            1,
            one.epochs(),
            one.epochs(),
            one.batch(),
            1e-3,
            false,
            one.rank(),
            0,
            0,
            1 << 20);
    List<LayerTask> tasks = new ArrayList<>();
    float[] none = {};
    for (int layer = 0; layer < one.layers(); layer++) {
      tasks.add(new LayerTask(config, layer, one.heads(), none, none, none, ""));
    }

    OperatingSystemMXBean system =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long begin = System.nanoTime();
    long processor = system.getProcessCpuTime();
    SequenceSplit all = new SequenceSplit(1, new int[0], new int[0]);
    new LocalRunner(StateStore.open(folder), 2).train(tasks, all, () -> {});
    return new Seconds(
        (System.nanoTime() - begin) / 1e9, (system.getProcessCpuTime() - processor) / 1e9);
  }

  private static List<Seconds> theirs(String python, Case one)
      throws IOException, InterruptedException, URISyntaxException {
    Path script =
        Path.of(
            TrainingBenchmark.class.getResource("/io/expertatlas/predictor/torch_peer.py").toURI());
    List<String> command = new ArrayList<>(List.of(python, script.toString()));
    command.addAll(one.words());
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    builder
        .environment()
        .putIfAbsent("OMP_WAIT_POLICY", "passive"); // no spinning: cores are shared
    Process process = builder.start();
    List<Seconds> seconds = new ArrayList<>();
    try (var lines = process.inputReader()) {
      lines
          .lines()
          .map(line -> line.split(" "))
          .forEach(
              words ->
                  seconds.add(
                      new Seconds(Double.parseDouble(words[1]), Double.parseDouble(words[2]))));
    }

    if (process.waitFor() != 0 || seconds.size() != 2) {
      throw new IllegalStateException("The peer failed: " + command);
    }

    return seconds;
  }

  /** Seconds of a step's gradients on one thread: explicit, SameDiff. */
  private static double[] gradientSeconds(Case one, int steps) {
    SingleThread.enter();
    TrainerConfig config =
        new TrainerConfig(
            one.rank() > 0 ? PredictorKind.RESIDUAL : PredictorKind.PRE_GATE,
            1,
            1,
            1,
            one.batch(),
            1e-3,
            false,
            one.rank(),
            0,
            0,
            one.batch());
    int outputs = one.heads() * one.experts();
    double[][] seconds = new double[2][steps];
    try (Network network = new Network(config, one.hidden(), outputs, one.heads(), one.batch())) {
      SameDiffTwin twin =
          new SameDiffTwin(
              network.weights(), one.hidden(), outputs, one.rank(), one.heads(), one.batch());
      String[] names = one.rank() > 0 ? new String[] {"W", "U", "V"} : new String[] {"W"};
      for (int step = 0; step < steps; step++) {
        long begin = System.nanoTime();
        network.train().gradients();
        long between = System.nanoTime();
        twin.gradients(
            network.train().features.array(), Nd4j.createFromArray(network.train().target), names);
        seconds[0][step] = (between - begin) / 1e9;
        seconds[1][step] = (System.nanoTime() - between) / 1e9;
      }
    }

    return Arrays.stream(seconds)
        .mapToDouble(
            all -> {
              Arrays.sort(all);
              return all[all.length / 2];
            })
        .toArray();
  }
}
