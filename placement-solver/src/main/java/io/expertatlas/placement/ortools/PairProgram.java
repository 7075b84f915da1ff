package io.expertatlas.placement.ortools;

import com.google.ortools.sat.BoolVar;
import com.google.ortools.sat.CpModel;
import com.google.ortools.sat.CpSolver;
import com.google.ortools.sat.CpSolverSolutionCallback;
import com.google.ortools.sat.CpSolverStatus;
import com.google.ortools.sat.LinearArgument;
import com.google.ortools.sat.LinearExpr;
import com.google.ortools.sat.LinearExprBuilder;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.search.Starts;
import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.BooleanSupplier;

/**
 * ExFlow's integer program with one variable for each pair of experts instead of one for each
 * token, on CP-SAT.
 *
 * <pre>
 * x[l,i,c] = 1       expert i of layer l is on part c;   sum over c of x[l,i,c] = 1
 * least[l,c] &lt;= sum over i of x[l,i,c] &lt;= most[l,c]
 * z[l,i,j,c] &lt;= x[l,i,c],  z[l,i,j,c] &lt;= x[l+1,j,c]      the pair stays on part c
 * sum over j of z[l,i,j,c] &lt;= most[l+1,c] * x[l,i,c]      and the same for i: cuts
 * maximise  sum of w[l,i,j] * z[l,i,j,c]
 * </pre>
 *
 * On several nodes the same again with nodes for parts: {@code hop cost = 2 - [same GPU] - [same
 * node]}. Where the parts are interchangeable, those of layer 0 are named in the order of first
 * use. Without the cuts the linear relaxation is 0 at {@code x = 1 / parts}; with them it is at
 * least the heaviest subgraph bound.
 */
final class PairProgram {
  /** Most variables of pairs; more do not fit in memory with all that CP-SAT derives from them. */
  static final long MAX_PAIR_VARIABLES = 1_500_000;

  /** Largest total weight that is passed on unscaled: sums stay exact in a double. */
  private static final long MAX_TOTAL = 1L << 50;

  private final Chain chain;
  private final CpModel model = new CpModel();
  private final BoolVar[][][] x; // [layer][i][part]
  private final BoolVar[][][] y; // [layer][i][node]; empty on one node
  private final List<LinearArgument> stays = new ArrayList<>();
  private final List<Long> weights = new ArrayList<>();
  private final long unit; // weights are passed on in this unit
  private final Optional<int[][]> hint;

  /**
   * What a solve found.
   *
   * @param map {@code [layer][i]} part, or empty if time ran out before there was one
   * @param bound no map costs less
   */
  record Result(Optional<int[][]> map, long bound, boolean infeasible) {}

  /**
   * Builds the program.
   *
   * @param start a map that meets the bounds, to start from
   */
  PairProgram(Chain chain, Optional<int[][]> start) {
    NativeLibrary.load();
    this.chain = chain;
    this.hint = start.map(map -> chain.isSymmetric() ? Starts.canonical(chain.parts(), map) : map);
    long total = 0;
    for (int gap = 0; gap < chain.layers() - 1; gap++) {
      total = Math.addExact(total, Math.multiplyExact(2, chain.total(gap)));
    }

    this.unit = 1 + total / MAX_TOTAL;
    Topology parts = chain.parts();
    this.x = new BoolVar[chain.layers()][][];
    this.y = new BoolVar[chain.layers()][][];
    for (int layer = 0; layer < chain.layers(); layer++) {
      addLayer(layer);
    }

    for (int gap = 0; gap < chain.layers() - 1; gap++) {
      int each = parts.nodes() > 1 && parts.gpusPerNode() == 1 ? 2 : 1;
      addStays(gap, x[gap], x[gap + 1], 1, each);
      if (parts.nodes() > 1 && parts.gpusPerNode() > 1) {
        addStays(gap, y[gap], y[gap + 1], parts.gpusPerNode(), 1);
      }
    }

    if (chain.isSymmetric()) {
      breakSymmetry();
    }

    model.maximize(
        LinearExpr.weightedSum(
            stays.toArray(LinearArgument[]::new),
            weights.stream().mapToLong(Long::longValue).toArray()));
  }

  /** Variables of pairs that the program of a chain has. */
  static long pairVariables(Chain chain) {
    Topology parts = chain.parts();
    boolean twoLevels = parts.nodes() > 1 && parts.gpusPerNode() > 1;
    return chain.pairs() * (parts.gpus() + (twoLevels ? parts.nodes() : 0));
  }

  private void addLayer(int layer) {
    Topology parts = chain.parts();
    int size = chain.size(layer);
    x[layer] = new BoolVar[size][parts.gpus()];
    y[layer] = new BoolVar[size][parts.nodes()];
    for (int i = 0; i < size; i++) {
      for (int part = 0; part < parts.gpus(); part++) {
        x[layer][i][part] = newVariable(layer, i, part, 1);
      }

      model.addExactlyOne(x[layer][i]);
      if (parts.nodes() > 1 && parts.gpusPerNode() > 1) {
        for (int node = 0; node < parts.nodes(); node++) {
          y[layer][i][node] = newVariable(layer, i, node, parts.gpusPerNode());
          LinearExprBuilder inNode = LinearExpr.newBuilder().addTerm(y[layer][i][node], -1);
          for (int place = 0; place < parts.gpusPerNode(); place++) {
            inNode.add(x[layer][i][node * parts.gpusPerNode() + place]);
          }

          model.addEquality(inNode, 0);
        }
      }
    }

    for (int part = 0; part < parts.gpus(); part++) {
      LinearExprBuilder held = LinearExpr.newBuilder();
      for (int i = 0; i < size; i++) {
        held.add(x[layer][i][part]);
      }

      model.addLinearConstraint(held, chain.least(layer, part), chain.most(layer, part));
    }
  }

  /** The variable of an expert on a group of {@code width} parts, with its hint. */
  private BoolVar newVariable(int layer, int expert, int group, int width) {
    BoolVar variable = model.newBoolVar("");
    hint.ifPresent(map -> model.addHint(variable, map[layer][expert] / width == group));
    return variable;
  }

  /** Adds the stays of a gap on groups of {@code width} parts. */
  private void addStays(int gap, BoolVar[][] from, BoolVar[][] to, int width, int each) {
    int groups = chain.parts().gpus() / width;
    for (int group = 0; group < groups; group++) {
      int roomFrom = room(gap, group, width);
      int roomTo = room(gap + 1, group, width);
      BoolVar[][] stay = new BoolVar[from.length][to.length];
      for (int i = 0; i < from.length; i++) {
        for (int j = 0; j < to.length; j++) {
          long weight = Math.round(chain.weight(gap, i, j) / (double) unit);
          if (unit == 1) {
            weight = chain.weight(gap, i, j);
          }

          if (weight > 0) {
            BoolVar variable = model.newBoolVar("");
            stay[i][j] = variable;
            model.addImplication(variable, from[i][group]);
            model.addImplication(variable, to[j][group]);
            stays.add(variable);
            weights.add(weight * each);
            addStayHint(variable, gap, i, j, group, width);
          }
        }
      }

      for (int i = 0; i < from.length; i++) {
        addCut(stay[i], from[i][group], roomTo);
      }

      for (int j = 0; j < to.length; j++) {
        BoolVar[] column = new BoolVar[from.length];
        for (int i = 0; i < from.length; i++) {
          column[i] = stay[i][j];
        }

        addCut(column, to[j][group], roomFrom);
      }
    }
  }

  private void addStayHint(BoolVar variable, int gap, int i, int j, int group, int width) {
    hint.ifPresent(
        map ->
            model.addHint(
                variable, map[gap][i] / width == group && map[gap + 1][j] / width == group));
  }

  private int room(int layer, int group, int width) {
    int room = 0;
    for (int part = group * width; part < (group + 1) * width; part++) {
      room += chain.most(layer, part);
    }

    return room;
  }

  private void addCut(BoolVar[] stays, BoolVar expert, int room) {
    int count = 0;
    LinearExprBuilder sum = LinearExpr.newBuilder().addTerm(expert, -room);
    for (BoolVar stay : stays) {
      if (stay != null) {
        sum.add(stay);
        count++;
      }
    }

    if (count > room) {
      model.addLessOrEqual(sum, 0);
    }
  }

  /** A part of layer 0 is used only after the one that is named before it, and so is a node. */
  private void breakSymmetry() {
    int perNode = chain.parts().gpusPerNode();
    for (int part = 1; part < chain.parts().gpus(); part++) {
      int before = part % perNode == 0 ? part - perNode : part - 1;
      for (int i = 0; i < chain.size(0); i++) {
        LinearExprBuilder earlier = LinearExpr.newBuilder().addTerm(x[0][i][part], -1);
        for (int j = 0; j < i; j++) {
          earlier.add(x[0][j][before]);
        }

        model.addGreaterOrEqual(earlier, 0);
      }
    }
  }

  /**
   * Solves the program.
   *
   * @param progress receives each better cost and its bound, on the solver's threads
   * @param isStopped whether to end with the best so far
   */
  Result solve(
      double seconds,
      long seed,
      int threads,
      BiConsumer<Long, Long> progress,
      BooleanSupplier isStopped) {
    CpSolver solver = new CpSolver();
    solver.getParameters().setMaxTimeInSeconds(Math.max(0.001, seconds));
    solver.getParameters().setRandomSeed((int) (seed & Integer.MAX_VALUE));
    solver.getParameters().setNumWorkers(threads);
    CpSolverSolutionCallback callback =
        new CpSolverSolutionCallback() {
          @Override
          public void onSolutionCallback() {
            progress.accept(cost(objectiveValue()), boundOf(bestObjectiveBound()));
          }
        };
    CpSolverStatus status = solve(solver, callback, isStopped);
    if (status == CpSolverStatus.MODEL_INVALID) {
      throw new IllegalStateException("Invalid pair program: " + model.validate());
    }

    if (status == CpSolverStatus.INFEASIBLE) {
      return new Result(Optional.empty(), 0, true);
    }

    boolean found = status == CpSolverStatus.OPTIMAL || status == CpSolverStatus.FEASIBLE;
    Optional<int[][]> map = found ? Optional.of(map(solver)) : Optional.empty();
    if (hint.isPresent() && (map.isEmpty() || chain.cost(hint.get()) < chain.cost(map.get()))) {
      map = hint;
    }

    return new Result(map, found ? boundOf(solver.bestObjectiveBound()) : 0, false);
  }

  /** Solves, and looks ten times a second whether to stop. */
  private CpSolverStatus solve(
      CpSolver solver, CpSolverSolutionCallback callback, BooleanSupplier isStopped) {
    CountDownLatch solved = new CountDownLatch(1);
    Thread watch =
        new Thread(
            () -> {
              try {
                while (!solved.await(100, TimeUnit.MILLISECONDS)) {
                  if (isStopped.getAsBoolean()) {
                    solver.stopSearch();
                  }
                }
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            },
            "cp-sat-stop");
    watch.setDaemon(true);
    watch.start();
    try {
      return solver.solve(model, callback);
    } finally {
      solved.countDown();
    }
  }

  private int[][] map(CpSolver solver) {
    int[][] map = new int[chain.layers()][];
    for (int layer = 0; layer < chain.layers(); layer++) {
      map[layer] = new int[chain.size(layer)];
      for (int i = 0; i < map[layer].length; i++) {
        for (int part = 0; part < x[layer][i].length; part++) {
          if (solver.booleanValue(x[layer][i][part])) {
            map[layer][i] = part;
          }
        }
      }
    }

    return map;
  }

  private long worst() {
    long total = 0;
    for (int gap = 0; gap < chain.layers() - 1; gap++) {
      total += chain.total(gap) * (chain.parts().nodes() == 1 ? 1 : 2);
    }

    return total;
  }

  private long cost(double stay) {
    return worst() - Math.round(stay) * unit;
  }

  /** The bound on the cost: with scaled weights, less all that rounding may have hidden. */
  private long boundOf(double stay) {
    long hidden = unit == 1 ? 0 : (unit / 2 + 1) * 2 * chain.pairs();
    return Math.max(0, worst() - (long) Math.floor(stay + 1e-3) * unit - hidden);
  }
}
