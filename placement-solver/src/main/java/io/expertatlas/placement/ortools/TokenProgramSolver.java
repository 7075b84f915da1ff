package io.expertatlas.placement.ortools;

import com.google.ortools.linearsolver.MPConstraint;
import com.google.ortools.linearsolver.MPSolver;
import com.google.ortools.linearsolver.MPVariable;
import com.google.ortools.sat.BoolVar;
import com.google.ortools.sat.CpModel;
import com.google.ortools.sat.CpSolver;
import com.google.ortools.sat.CpSolverStatus;
import com.google.ortools.sat.LinearExpr;
import com.google.ortools.sat.LinearExprBuilder;
import com.google.ortools.sat.Literal;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.search.GapBound;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import io.expertatlas.placement.solver.SolverStatus;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * ExFlow's own program (arXiv 2401.08383) as a baseline: recursive bisection, and in each split a
 * binary cost for every token and gap, {@code cost >= x[a] - x[a']} and {@code cost >= x[a'] -
 * x[a]} with both experts in the part, equal counts, from no start. Tokens with equal pairs have
 * equal rows here, so the program needs no more than the counts; it is built token by token all the
 * same. The time limit is shared by the splits. Made to be measured, not to be used.
 */
public abstract class TokenProgramSolver implements PlacementSolver {
  /** The most binaries of a program: beyond, memory is the limit. */
  private static final long MAX_BINARIES = 4_000_000;

  private final String name;

  private TokenProgramSolver(String name) {
    this.name = name;
  }

  /** On SCIP, the mixed-integer solver. */
  public static final class Scip extends TokenProgramSolver {
    /** Creates the solver. */
    public Scip() {
      super("exflow-token");
    }

    @Override
    Optional<int[][]> split(Chain chain, int[][] room, double seconds, SolverConfig config) {
      MPSolver solver = MPSolver.createSolver("SCIP");
      if (solver == null) {
        throw new IllegalStateException("Cannot solve with SCIP: OR-Tools was built without it");
      }

      try {
        solver.setTimeLimit((long) Math.max(1, seconds * 1000));
        MPVariable[][][] x = new MPVariable[chain.layers()][][]; // [layer][i][side]
        for (int layer = 0; layer < x.length; layer++) {
          x[layer] = new MPVariable[chain.size(layer)][2];
          MPConstraint[] count = new MPConstraint[2];
          for (int side = 0; side < 2; side++) {
            count[side] = solver.makeConstraint(room[layer][side], room[layer][side]);
          }

          for (MPVariable[] expert : x[layer]) {
            MPConstraint once = solver.makeConstraint(1, 1);
            for (int side = 0; side < 2; side++) {
              expert[side] = solver.makeBoolVar("");
              once.setCoefficient(expert[side], 1);
              count[side].setCoefficient(expert[side], 1);
            }
          }
        }

        for (int gap = 0; gap < chain.layers() - 1; gap++) {
          for (int from = 0; from < chain.size(gap); from++) {
            for (int to = 0; to < chain.size(gap + 1); to++) {
              for (long token = 0; token < chain.weight(gap, from, to); token++) {
                MPVariable cost = solver.makeBoolVar("");
                solver.objective().setCoefficient(cost, 1);
                for (int side = 0; side < 2; side++) {
                  rise(solver, cost, x[gap][from][side], x[gap + 1][to][side]);
                  rise(solver, cost, x[gap + 1][to][side], x[gap][from][side]);
                }
              }
            }
          }
        }

        solver.objective().setMinimization();
        MPSolver.ResultStatus status = solver.solve();
        if (status != MPSolver.ResultStatus.OPTIMAL && status != MPSolver.ResultStatus.FEASIBLE) {
          return Optional.empty();
        }

        int[][] side = new int[x.length][];
        for (int layer = 0; layer < x.length; layer++) {
          side[layer] =
              Arrays.stream(x[layer]).mapToInt(e -> e[1].solutionValue() > 0.5 ? 1 : 0).toArray();
        }

        return Optional.of(side);
      } finally {
        solver.delete();
      }
    }

    /** {@code cost >= one - other}. */
    private static void rise(MPSolver solver, MPVariable cost, MPVariable one, MPVariable other) {
      MPConstraint rise = solver.makeConstraint(0, MPSolver.infinity());
      rise.setCoefficient(cost, 1);
      rise.setCoefficient(one, -1);
      rise.setCoefficient(other, 1);
    }
  }

  /** On CP-SAT, with one Boolean for each expert and clauses. */
  public static final class CpSat extends TokenProgramSolver {
    /** Creates the solver. */
    public CpSat() {
      super("exflow-token-cpsat");
    }

    @Override
    Optional<int[][]> split(Chain chain, int[][] room, double seconds, SolverConfig config) {
      CpModel model = new CpModel();
      BoolVar[][] x = new BoolVar[chain.layers()][]; // [layer][i], true on the second side
      for (int layer = 0; layer < x.length; layer++) {
        x[layer] = new BoolVar[chain.size(layer)];
        Arrays.setAll(x[layer], i -> model.newBoolVar(""));
        model.addEquality(LinearExpr.sum(x[layer]), room[layer][1]);
      }

      LinearExprBuilder sum = LinearExpr.newBuilder();
      for (int gap = 0; gap < chain.layers() - 1; gap++) {
        for (int from = 0; from < chain.size(gap); from++) {
          for (int to = 0; to < chain.size(gap + 1); to++) {
            BoolVar one = x[gap][from];
            BoolVar other = x[gap + 1][to];
            for (long token = 0; token < chain.weight(gap, from, to); token++) {
              BoolVar cost = model.newBoolVar("");
              model.addBoolOr(new Literal[] {cost, one.not(), other});
              model.addBoolOr(new Literal[] {cost, one, other.not()});
              sum.add(cost);
            }
          }
        }
      }

      model.minimize(sum);
      CpSolver solver = new CpSolver();
      solver.getParameters().setMaxTimeInSeconds(Math.max(0.001, seconds));
      solver.getParameters().setNumWorkers(config.threads());
      solver.getParameters().setRandomSeed((int) (config.seed() & 0x7fffffff));
      CpSolverStatus status = solver.solve(model);
      if (status != CpSolverStatus.OPTIMAL && status != CpSolverStatus.FEASIBLE) {
        return Optional.empty();
      }

      int[][] side = new int[x.length][];
      for (int layer = 0; layer < x.length; layer++) {
        side[layer] =
            Arrays.stream(x[layer]).mapToInt(e -> solver.booleanValue(e) ? 1 : 0).toArray();
      }

      return Optional.of(side);
    }
  }

  @Override
  public final String name() {
    return name;
  }

  /**
   * Splits a part in two.
   *
   * @param room {@code [layer][side]} experts of a layer on each side
   * @return {@code [layer][i]} the side of each expert; empty if none was found in time
   */
  abstract Optional<int[][]> split(Chain chain, int[][] room, double seconds, SolverConfig config);

  @Override
  public final SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.ofPairs(name, problem, config, this::solve);
  }

  private SolverOutcome solve(SolverRun run) {
    Chain whole = run.chain();
    int gpus = whole.parts().gpus();
    int experts = run.problem().shape().experts();
    long binaries = 0;
    for (int gap = 0; gap < whole.layers() - 1; gap++) {
      binaries += whole.total(gap);
    }

    if (experts % gpus != 0 || Integer.bitCount(gpus) != 1 || binaries > MAX_BINARIES) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          String.format(
              Locale.ROOT,
              "the program per token needs a power of two of GPUs, equal counts and at most %,d token steps; here are %d GPUs, %d experts, %,d steps",
              MAX_BINARIES,
              gpus,
              experts,
              binaries));
    }

    NativeLibrary.load();
    int[][] gpu = new int[whole.layers()][experts]; // first GPU of the range
    ArrayDeque<int[]> ranges = new ArrayDeque<>();
    ranges.add(new int[] {0, gpus});
    int splitsLeft = gpus - 1;
    while (!ranges.isEmpty()) {
      int[] range = ranges.remove();
      int length = range[1] - range[0];
      if (length == 1) {
        continue;
      }

      int middle = (range[0] + range[1]) / 2;
      double seconds = run.secondsLeft() / splitsLeft--;
      if (!split(run, gpu, range[0], middle, experts / gpus, seconds)) {
        return run.unsolved(
            SolverStatus.UNKNOWN,
            "no split of GPUs %d to %d was found in %.1f s"
                .formatted(range[0], range[1] - 1, seconds));
      }

      ranges.add(new int[] {range[0], middle});
      ranges.add(new int[] {middle, range[1]});
    }

    return run.solved(gpu, GapBound.of(whole), "bisection of ExFlow's program per token");
  }

  private boolean split(
      SolverRun run, int[][] gpu, int first, int middle, int slots, double seconds) {
    Chain whole = run.chain();
    int[][] members = new int[whole.layers()][];
    int[][] room = new int[whole.layers()][2];
    for (int layer = 0; layer < members.length; layer++) {
      int[] here = gpu[layer];
      members[layer] = IntStream.range(0, here.length).filter(e -> here[e] == first).toArray();
      room[layer][0] = (middle - first) * slots;
      room[layer][1] = members[layer].length - room[layer][0];
    }

    Chain part = whole.select(members, new Topology(1, 2), room, room);
    Optional<int[][]> sides = split(part, room, seconds, run.config());
    for (int layer = 0; sides.isPresent() && layer < members.length; layer++) {
      for (int i = 0; i < members[layer].length; i++) {
        gpu[layer][members[layer][i]] = sides.get()[layer][i] == 0 ? first : middle;
      }
    }

    return sides.isPresent();
  }
}
