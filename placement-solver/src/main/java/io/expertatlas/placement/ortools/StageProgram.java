package io.expertatlas.placement.ortools;

import com.google.ortools.sat.BoolVar;
import com.google.ortools.sat.CpModel;
import com.google.ortools.sat.CpSolver;
import com.google.ortools.sat.CpSolverStatus;
import com.google.ortools.sat.IntVar;
import com.google.ortools.sat.LinearArgument;
import com.google.ortools.sat.LinearExpr;
import com.google.ortools.sat.LinearExprBuilder;
import com.google.ortools.sat.Literal;
import io.expertatlas.placement.solver.StageOutcome;
import io.expertatlas.placement.solver.StageProblem;
import io.expertatlas.placement.solver.StageSolver;
import java.util.Arrays;
import java.util.function.IntToLongFunction;

/**
 * The stages of a pipeline as an integer program, on CP-SAT.
 *
 * <pre>
 * x[l,s] = 1           layer l is in stage s; consecutive: in the stage of l - 1 or the next
 * load(s), forward(s), backward(s), bytes(s)     sums over l of x[l,s] times the layer's
 * 2 bytes(s) + bytes(s - G) &lt;= budget            a stage with its gradients, and the one ahead
 * loaded(i) &gt;= loaded(i - 1) + load, &gt;= end(i - 2) + load        visits i of a device
 * end(s,c) &gt;= loaded + time, &gt;= end(s,c - 1) + time, &gt;= end(stage before,c) + time,
 *          &gt;= end(stage before on this device, last chunk) + time
 * minimise the end of the last
 * </pre>
 *
 * Everything runs in a fixed order, so the end of the least solution is the makespan. Times are
 * counted in units of a {@value #UNITS}th of the makespan of equal stages, rounded down, so that
 * the bound holds; the partition is then measured exactly.
 */
public final class StageProgram implements StageSolver {
  private static final long UNITS = 1 << 24;

  /** For the service loader. */
  public StageProgram() {}

  @Override
  public StageOutcome solve(StageProblem problem, double effort, long seed) {
    NativeLibrary.load();
    return new Program(problem).solve(effort, seed);
  }

  /** One program. */
  private static final class Program {
    private final StageProblem problem;
    private final CpModel model = new CpModel();
    private final BoolVar[][] in; // [layer][stage]
    private final long most;
    private final long unit;
    private final IntVar end;

    private Program(StageProblem problem) {
      this.problem = problem;
      int[] equal = problem.equalStages();
      this.unit = Math.max(1, problem.makespan(equal) / UNITS);
      long worst = 0;
      for (int layer = 0; layer < problem.layers(); layer++) {
        worst +=
            2 * units(problem.loadNanos(layer))
                + problem.chunks()
                    * (units(problem.forwardNanos(layer)) + units(problem.backwardNanos(layer)));
      }

      this.most = worst;
      this.in = new BoolVar[problem.layers()][problem.stages()];
      this.end = time();
      layers(equal);
      budget();
      schedule();
      model.minimize(end);
    }

    private long units(long nanos) {
      return nanos / unit;
    }

    private IntVar time() {
      return model.newIntVar(0, most, "");
    }

    private void layers(int[] hint) {
      int stages = problem.stages();
      for (int layer = 0; layer < problem.layers(); layer++) {
        int at = Arrays.binarySearch(hint, layer);
        int hinted = at >= 0 ? at : -at - 2;
        for (int stage = 0; stage < stages; stage++) {
          in[layer][stage] = model.newBoolVar("");
          model.addHint(in[layer][stage], stage == hinted);
        }

        model.addExactlyOne(in[layer]);
        for (int stage = 0; layer > 0 && stage < stages; stage++) {
          if (stage == 0) {
            model.addImplication(in[layer][0], in[layer - 1][0]);
          } else {
            model.addBoolOr(
                new Literal[] {
                  in[layer][stage].not(), in[layer - 1][stage], in[layer - 1][stage - 1]
                });
          }
        }
      }

      model.addEquality(in[0][0], 1);
      model.addEquality(in[problem.layers() - 1][stages - 1], 1);
    }

    private LinearExprBuilder sum(int stage, IntToLongFunction of, long factor) {
      LinearExprBuilder sum = LinearExpr.newBuilder();
      for (int layer = 0; layer < problem.layers(); layer++) {
        sum.addTerm(in[layer][stage], of.applyAsLong(layer) * factor);
      }

      return sum;
    }

    private void budget() {
      for (int stage = 0; stage < problem.stages(); stage++) {
        LinearExprBuilder held = sum(stage, problem::bytes, 2);
        if (stage >= problem.devices()) {
          held.add(sum(stage - problem.devices(), problem::bytes, 1));
        }

        model.addLessOrEqual(held, problem.budgetBytes());
      }
    }

    private void after(IntVar what, LinearArgument before, LinearExprBuilder length) {
      model.addGreaterOrEqual(what, LinearExpr.newBuilder().add(before).add(length));
    }

    private void schedule() {
      int devices = problem.devices();
      LinearArgument zero = LinearExpr.constant(0);
      LinearArgument[] computed = new LinearArgument[devices];
      LinearArgument[] loaded = new LinearArgument[devices];
      LinearArgument[] left = new LinearArgument[devices];
      LinearArgument[] arrived = new LinearArgument[problem.chunks()];
      Arrays.fill(computed, zero);
      Arrays.fill(loaded, zero);
      Arrays.fill(left, zero);
      Arrays.fill(arrived, zero);
      int last = problem.stages() - 1;
      for (int i = 0; i <= 2 * last + 1; i++) {
        boolean backward = i > last;
        int stage = backward ? 2 * last + 1 - i : i;
        int device = stage % devices;
        IntToLongFunction each =
            backward
                ? layer -> units(problem.backwardNanos(layer))
                : layer -> units(problem.forwardNanos(layer));
        LinearArgument ready = zero;
        if (!backward || stage <= last - devices) {
          IntVar done = time();
          LinearExprBuilder load = sum(stage, layer -> units(problem.loadNanos(layer)), 1);
          after(done, loaded[device], load);
          after(done, left[device], load);
          loaded[device] = done;
          left[device] = computed[device];
          ready = done;
        }

        for (int chunk = 0; chunk < problem.chunks(); chunk++) {
          IntVar done = time();
          LinearExprBuilder length = sum(stage, each, 1);
          after(done, ready, length);
          after(done, computed[device], length);
          after(done, arrived[chunk], length);
          computed[device] = done;
          arrived[chunk] = done;
        }
      }

      for (LinearArgument done : computed) {
        model.addGreaterOrEqual(end, done);
      }
    }

    private StageOutcome solve(double effort, long seed) {
      CpSolver solver = new CpSolver();
      solver.getParameters().setMaxDeterministicTime(effort);
      solver.getParameters().setRandomSeed((int) (seed & Integer.MAX_VALUE));
      solver.getParameters().setNumWorkers(1);
      CpSolverStatus status = solver.solve(model);
      if (status == CpSolverStatus.MODEL_INVALID) {
        throw new IllegalStateException("Invalid program of stages: " + model.validate());
      }

      int[] equal = problem.equalStages();
      boolean equalFits = problem.neededBytes(equal) <= problem.budgetBytes();
      long bound =
          status == CpSolverStatus.INFEASIBLE
              ? Long.MAX_VALUE
              : (long) Math.ceil(solver.bestObjectiveBound() - 1e-6) * unit;
      int[] best = equalFits ? equal : new int[0];
      if (status == CpSolverStatus.OPTIMAL || status == CpSolverStatus.FEASIBLE) {
        int[] found = new int[problem.stages()];
        for (int layer = problem.layers() - 1; layer >= 0; layer--) {
          for (int stage = 0; stage < problem.stages(); stage++) {
            found[stage] = solver.booleanValue(in[layer][stage]) ? layer : found[stage];
          }
        }

        if (best.length == 0 || problem.makespan(found) < problem.makespan(best)) {
          best = found;
        }
      }

      return new StageOutcome(best, best.length == 0 ? 0 : problem.makespan(best), bound);
    }
  }
}
