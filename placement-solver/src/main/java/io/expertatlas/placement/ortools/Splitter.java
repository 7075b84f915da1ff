package io.expertatlas.placement.ortools;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.search.Starts;
import io.expertatlas.placement.search.Sweeps;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.SolverRun;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * Splits the GPUs of a problem step by step: each step deals the experts of a range of GPUs to
 * smaller ranges by a pair program of its own, which sees only the pairs inside its range. Not safe
 * for several threads.
 */
final class Splitter {
  private static final int STARTS = 5;

  private final SolverRun run;
  private final int[][] gpu; // [layer][expert], first GPU of the range that holds it
  private final SplittableRandom random;
  private int solvesLeft;
  private int proven;
  private int solves;
  private String refusal = "";

  /**
   * Starts with all experts on the range of all GPUs.
   *
   * @param solves how many splits there will be, to share the time
   */
  Splitter(SolverRun run, int solves) {
    this.run = run;
    this.gpu = new int[run.chain().layers()][run.problem().shape().experts()];
    this.random = new SplittableRandom(run.config().seed());
    this.solvesLeft = solves;
  }

  /** {@code [layer][expert]}, when all ranges are single GPUs. */
  int[][] map() {
    return gpu;
  }

  /** In words: how many splits there were, and how many are the best of their kind. */
  String note() {
    return refusal.isEmpty()
        ? "%d splits, %d proven optimal each on its own".formatted(solves, proven)
        : refusal;
  }

  /**
   * Deals the experts of the range that starts at {@code borders[0]} to the ranges between the
   * borders.
   *
   * @param borders ascending, first GPU of each range, then the end of the last
   */
  void split(int... borders) {
    Chain whole = run.chain();
    int parts = borders.length - 1;
    int[][] members = new int[whole.layers()][]; // [layer][i]
    int[][] least = new int[whole.layers()][parts];
    int[][] most = new int[whole.layers()][parts];
    for (int layer = 0; layer < whole.layers(); layer++) {
      int[] here = gpu[layer];
      members[layer] =
          java.util.stream.IntStream.range(0, here.length)
              .filter(e -> here[e] == borders[0])
              .toArray();
      bounds(borders, members[layer].length, least[layer], most[layer]);
    }

    Chain chain = whole.select(members, new Topology(1, parts), least, most);
    int[][] map = solve(chain, "GPUs %d to %d".formatted(borders[0], borders[parts] - 1), borders);
    for (int layer = 0; layer < members.length; layer++) {
      for (int i = 0; i < members[layer].length; i++) {
        gpu[layer][members[layer][i]] = borders[map[layer][i]];
      }
    }
  }

  /** What each range may hold so that the others can be filled. */
  private void bounds(int[] borders, int experts, int[] least, int[] most) {
    long[] fewest = new long[least.length];
    long[] highest = new long[least.length];
    for (int part = 0; part < least.length; part++) {
      for (int gpu = borders[part]; gpu < borders[part + 1]; gpu++) {
        fewest[part] += run.problem().slots().least(gpu);
        highest[part] += run.problem().slots().most(gpu);
      }
    }

    long allFewest = Arrays.stream(fewest).sum();
    long allHighest = Arrays.stream(highest).sum();
    for (int part = 0; part < least.length; part++) {
      long othersHighest = allHighest - highest[part];
      long othersFewest = allFewest - fewest[part];
      least[part] = (int) Math.max(fewest[part], experts - othersHighest);
      most[part] = (int) Math.min(highest[part], experts - othersFewest);
    }
  }

  private int[][] solve(Chain chain, String step, int[] borders) {
    double seconds = run.secondsLeft() / solvesLeft--;
    double until = run.seconds() + seconds;
    solves++;
    int[][] start =
        warmStart(chain, borders)
            .orElseGet(
                () -> {
                  int[][] random = Starts.random(chain, this.random.split());
                  int[][] first = new Sweeps(chain, () -> false).improve(random); // however late
                  return new Sweeps(chain, () -> run.seconds() > until)
                      .best(first, STARTS, this.random.split());
                });
    long variables = PairProgram.pairVariables(chain);
    if (variables > PairProgram.MAX_PAIR_VARIABLES) {
      refusal =
          "the program of %s has %d pair variables, at most %d: split by sweeps"
              .formatted(step, variables, PairProgram.MAX_PAIR_VARIABLES);
      return start;
    }

    PairProgram.Result result =
        new PairProgram(chain, Optional.of(start))
            .solve(
                until - run.seconds(),
                run.config().seed(),
                run.config().threads(),
                (cost, bound) -> run.report("split of " + step, cost, bound),
                run.config().isStopped());
    int[][] map = result.map().orElse(start);
    proven += chain.cost(map) == result.bound() ? 1 : 0;
    return map;
  }

  /** The warm start's own split of this range, if the range holds the same experts there. */
  private Optional<int[][]> warmStart(Chain chain, int[] borders) {
    if (run.warmStart().isEmpty()) {
      return Optional.empty();
    }

    int[][] warm = run.warmStart().get();
    int[][] map = new int[warm.length][];
    for (int layer = 0; layer < warm.length; layer++) {
      int at = layer;
      map[layer] =
          java.util.stream.IntStream.range(0, warm[layer].length)
              .filter(e -> gpu[at][e] == borders[0])
              .map(e -> part(borders, warm[at][e]))
              .toArray();
      if (Arrays.stream(map[layer]).anyMatch(part -> part < 0)) {
        return Optional.empty();
      }
    }

    return chain.isMetBy(map) ? Optional.of(map) : Optional.empty();
  }

  private static int part(int[] borders, int gpu) {
    for (int part = 0; part < borders.length - 1; part++) {
      if (gpu >= borders[part] && gpu < borders[part + 1]) {
        return part;
      }
    }

    return -1;
  }
}
