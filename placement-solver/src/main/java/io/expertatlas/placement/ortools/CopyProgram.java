package io.expertatlas.placement.ortools;

import com.google.ortools.sat.BoolVar;
import com.google.ortools.sat.CpModel;
import com.google.ortools.sat.CpSolver;
import com.google.ortools.sat.CpSolverStatus;
import com.google.ortools.sat.IntVar;
import com.google.ortools.sat.LinearExpr;
import com.google.ortools.sat.LinearExprBuilder;
import io.expertatlas.placement.copies.ExactPacking;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Copies of experts and their places in one integer program, on CP-SAT: the least load of a layer's
 * hottest GPU.
 *
 * <pre>
 * y[e,k] = 1         expert e has k copies;            sum over k of y[e,k] = 1
 * x[e,k,c]           slots of GPU c with e, if it has k; sum over c of x[e,k,c] = k * y[e,k]
 * sum over e, k of x[e,k,c] = slots of a GPU
 * sum over e, k of choices[e] * M/k * x[e,k,c] &lt;= M * hottest      M = lcm(1..most copies)
 * minimise hottest
 * </pre>
 *
 * GPUs are interchangeable: they are named in the order of falling load.
 */
public final class CopyProgram implements ExactPacking {
  private static final int MOST_VARIABLES = 800;
  private static final int MOST_COPIES = 8;
  private static final long MOST_TOTAL = 1L << 45;
  private static final double MOST_EFFORT = 0.5; // CP-SAT's deterministic seconds

  /** For the service loader. */
  public CopyProgram() {}

  @Override
  public boolean isSmall(int experts, int gpus, int slots) {
    int most = slots - experts + 1;
    return most <= MOST_COPIES && (long) experts * most * gpus <= MOST_VARIABLES && gpus > 1;
  }

  @Override
  public Result solve(long[] choices, int gpus, int[] start, double seconds, long seed) {
    long units = 1;
    int most = start.length - choices.length + 1;
    for (int k = 2; k <= most; k++) {
      units = units / divisor(units, k) * k;
    }

    long sum = Arrays.stream(choices).sum();
    if (sum > MOST_TOTAL / units) {
      return new Result(start, 0);
    }

    NativeLibrary.load();
    CpModel model = new CpModel();
    IntVar hottest = model.newIntVar((sum + gpus - 1) / gpus, sum, "hottest");
    IntVar[][][] x = variables(model, choices, gpus, most, hinted(choices, gpus, start));
    LinearExprBuilder before = null;
    for (int gpu = 0; gpu < gpus; gpu++) {
      LinearExprBuilder held = LinearExpr.newBuilder();
      LinearExprBuilder load = LinearExpr.newBuilder();
      LinearExprBuilder room = LinearExpr.newBuilder().addTerm(hottest, units);
      for (int expert = 0; expert < choices.length; expert++) {
        for (int k = 1; k <= most; k++) {
          long each = choices[expert] * (units / k);
          held.add(x[expert][k - 1][gpu]);
          load.addTerm(x[expert][k - 1][gpu], each);
          room.addTerm(x[expert][k - 1][gpu], -each);
        }
      }

      model.addEquality(held, start.length / gpus);
      model.addGreaterOrEqual(room, 0);
      if (before != null) {
        model.addGreaterOrEqual(before, load);
      }

      before = load;
    }

    model.minimize(hottest);
    CpSolver solver = new CpSolver();
    solver.getParameters().setMaxTimeInSeconds(Math.max(0.001, seconds));
    solver.getParameters().setMaxDeterministicTime(MOST_EFFORT);
    solver.getParameters().setRandomSeed((int) (seed & Integer.MAX_VALUE));
    solver.getParameters().setNumWorkers(1);
    CpSolverStatus status = solver.solve(model);
    if (status == CpSolverStatus.MODEL_INVALID || status == CpSolverStatus.INFEASIBLE) {
      throw new IllegalStateException("Invalid program of copies: " + status);
    }

    long bound = (long) Math.ceil(solver.bestObjectiveBound() - 1e-6);
    return status == CpSolverStatus.UNKNOWN
        ? new Result(start, Math.max(0, bound))
        : new Result(deal(solver, x, start.length / gpus), bound);
  }

  private static long divisor(long a, long b) {
    return b == 0 ? a : divisor(b, a % b);
  }

  private static IntVar[][][] variables(
      CpModel model, long[] choices, int gpus, int most, int[][] hint) {
    IntVar[][][] x = new IntVar[choices.length][most][gpus]; // [expert][copies - 1][gpu]
    for (int expert = 0; expert < choices.length; expert++) {
      BoolVar[] y = new BoolVar[most];
      int copies = Arrays.stream(hint[expert]).sum();
      for (int k = 1; k <= most; k++) {
        y[k - 1] = model.newBoolVar("");
        model.addHint(y[k - 1], copies == k);
        LinearExprBuilder placed = LinearExpr.newBuilder().addTerm(y[k - 1], -k);
        for (int gpu = 0; gpu < gpus; gpu++) {
          x[expert][k - 1][gpu] = model.newIntVar(0, k, "");
          placed.add(x[expert][k - 1][gpu]);
          model.addHint(x[expert][k - 1][gpu], copies == k ? hint[expert][gpu] : 0);
        }

        model.addEquality(placed, 0);
      }

      model.addExactlyOne(y);
    }

    return x;
  }

  /** Slots of the start on each GPU, {@code [expert][gpu]}, GPUs in the order of falling load. */
  private static int[][] hinted(long[] choices, int gpus, int[] start) {
    int[] copies = new int[choices.length];
    for (int expert : start) {
      copies[expert]++;
    }

    int perGpu = start.length / gpus;
    double[] load = new double[gpus];
    for (int slot = 0; slot < start.length; slot++) {
      load[slot / perGpu] += choices[start[slot]] / (double) copies[start[slot]];
    }

    int[] order =
        IntStream.range(0, gpus)
            .boxed()
            .sorted(Comparator.comparingDouble(gpu -> -load[gpu]))
            .mapToInt(gpu -> gpu)
            .toArray();
    int[][] held = new int[choices.length][gpus];
    for (int name = 0; name < gpus; name++) {
      for (int i = 0; i < perGpu; i++) {
        held[start[order[name] * perGpu + i]][name]++;
      }
    }

    return held;
  }

  private static int[] deal(CpSolver solver, IntVar[][][] x, int perGpu) {
    int[] deal = new int[x[0][0].length * perGpu];
    for (int gpu = 0; gpu < x[0][0].length; gpu++) {
      int slot = gpu * perGpu;
      for (int expert = 0; expert < x.length; expert++) {
        for (IntVar[] ofCopies : x[expert]) {
          for (long left = solver.value(ofCopies[gpu]); left > 0; left--) {
            deal[slot++] = expert;
          }
        }
      }
    }

    return deal;
  }
}
