package io.expertatlas.placement.ortools;

import com.google.ortools.sat.BoolVar;
import com.google.ortools.sat.CpModel;
import com.google.ortools.sat.CpSolver;
import com.google.ortools.sat.CpSolverStatus;
import com.google.ortools.sat.LinearExpr;
import com.google.ortools.sat.LinearExprBuilder;
import io.expertatlas.trace.RoutingTrace;

/** ExFlow's own program, with a variable for every token and gap: the slow twin. */
final class PerTokenProgram {
  private PerTokenProgram() {}

  /** The fewest hops of a trace on one node with equal counts. */
  static long fewestHops(RoutingTrace trace, int gpus) {
    NativeLibrary.load();
    CpModel model = new CpModel();
    int layers = trace.shape().layers();
    int experts = trace.shape().experts();
    BoolVar[][][] x = new BoolVar[layers][experts][gpus];
    for (int layer = 0; layer < layers; layer++) {
      for (int e = 0; e < experts; e++) {
        for (int c = 0; c < gpus; c++) {
          x[layer][e][c] = model.newBoolVar("");
        }

        model.addEquality(LinearExpr.sum(x[layer][e]), 1);
      }

      for (int c = 0; c < gpus; c++) {
        LinearExprBuilder held = LinearExpr.newBuilder();
        for (int e = 0; e < experts; e++) {
          held.add(x[layer][e][c]);
        }

        model.addEquality(held, experts / gpus);
      }
    }

    LinearExprBuilder sum = LinearExpr.newBuilder();
    for (int token = 0; token < trace.tokens(); token++) {
      for (int gap = 0; gap < layers - 1; gap++) {
        BoolVar cost = model.newBoolVar("");
        BoolVar[] from = x[gap][trace.expert(token, gap, 0)];
        BoolVar[] to = x[gap + 1][trace.expert(token, gap + 1, 0)];
        for (int c = 0; c < gpus; c++) {
          model.addGreaterOrEqual(
              LinearExpr.newBuilder().add(cost).addTerm(from[c], -1).add(to[c]), 0);
          model.addGreaterOrEqual(
              LinearExpr.newBuilder().add(cost).addTerm(to[c], -1).add(from[c]), 0);
        }

        sum.add(cost);
      }
    }

    model.minimize(sum);
    CpSolver solver = new CpSolver();
    solver.getParameters().setNumWorkers(1);
    CpSolverStatus status = solver.solve(model);
    if (status != CpSolverStatus.OPTIMAL) {
      throw new IllegalStateException("Per-token program: " + status);
    }

    return Math.round(solver.objectiveValue());
  }
}
