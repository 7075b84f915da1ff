package io.expertatlas.placement.ortools;

import com.google.ortools.sat.BoolVar;
import com.google.ortools.sat.CpModel;
import com.google.ortools.sat.CpSolver;
import com.google.ortools.sat.CpSolverStatus;
import com.google.ortools.sat.LinearExpr;
import com.google.ortools.sat.LinearExprBuilder;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.Optional;

/**
 * A window of layers of a map as a program on CP-SAT, the layers around it as they are: the pair
 * program of {@link PairProgram} in the window, what hops to its neighbours save as weights of
 * single experts. Equal nodes and the usual costs of hops.
 */
final class WindowProgram {
  private final Chain chain;
  private final int[][] map;
  private final int first;
  private final int last;
  private final CpModel model = new CpModel();
  private final LinearExprBuilder saved = LinearExpr.newBuilder();
  private final BoolVar[][][] x; // [layer - first][i][part]
  private final BoolVar[][][] y; // [layer - first][i][node]

  /**
   * Builds the program.
   *
   * @param first layer of the window
   * @param last layer of the window
   */
  WindowProgram(Chain chain, int[][] map, int first, int last) {
    NativeLibrary.load();
    this.chain = chain;
    this.map = map;
    this.first = first;
    this.last = last;
    this.x = new BoolVar[last - first + 1][][];
    this.y = new BoolVar[last - first + 1][][];
    Topology parts = chain.parts();
    for (int layer = first; layer <= last; layer++) {
      addLayer(layer);
    }

    for (int gap = first; gap < last; gap++) {
      addStays(gap, x[gap - first], x[gap - first + 1], 1);
      if (parts.nodes() > 1) {
        addStays(gap, y[gap - first], y[gap - first + 1], parts.gpusPerNode());
      }
    }

    model.addGreaterOrEqual(saved, stays() + 1); // nothing else is of use
    model.maximize(saved);
  }

  private void addLayer(int layer) {
    Topology parts = chain.parts();
    BoolVar[][] onPart = new BoolVar[chain.size(layer)][parts.gpus()];
    BoolVar[][] onNode = new BoolVar[chain.size(layer)][parts.nodes()];
    for (int i = 0; i < onPart.length; i++) {
      for (int part = 0; part < parts.gpus(); part++) {
        onPart[i][part] = model.newBoolVar("");
        model.addHint(onPart[i][part], map[layer][i] == part);
        saved.addTerm(onPart[i][part], outside(layer, i, part));
      }

      model.addExactlyOne(onPart[i]);
      for (int node = 0; node < parts.nodes() && parts.nodes() > 1; node++) {
        onNode[i][node] = model.newBoolVar("");
        model.addHint(onNode[i][node], parts.node(map[layer][i]) == node);
        LinearExprBuilder inNode = LinearExpr.newBuilder().addTerm(onNode[i][node], -1);
        for (int part = parts.firstGpu(node); part < parts.firstGpu(node + 1); part++) {
          inNode.add(onPart[i][part]);
        }

        model.addEquality(inNode, 0);
      }
    }

    for (int part = 0; part < parts.gpus(); part++) {
      LinearExprBuilder held = LinearExpr.newBuilder();
      for (BoolVar[] expert : onPart) {
        held.add(expert[part]);
      }

      model.addLinearConstraint(held, chain.least(layer, part), chain.most(layer, part));
    }

    x[layer - first] = onPart;
    y[layer - first] = onNode;
  }

  /** What an expert on a part saves towards the layers around the window. */
  private long outside(int layer, int expert, int part) {
    long sum = 0;
    for (int i = 0; layer == first && layer > 0 && i < chain.size(layer - 1); i++) {
      sum += chain.weight(layer - 1, i, expert) * saved(map[layer - 1][i], part);
    }

    for (int j = 0; layer == last && layer < chain.layers() - 1 && j < map[layer + 1].length; j++) {
      sum += chain.weight(layer, expert, j) * saved(part, map[layer + 1][j]);
    }

    return sum;
  }

  private int saved(int from, int to) {
    return chain.parts().highestCost() - chain.parts().hopCost(from, to);
  }

  private void addStays(int gap, BoolVar[][] from, BoolVar[][] to, int width) {
    int room = width * chain.most(gap, 0);
    for (int group = 0; group < from[0].length; group++) {
      BoolVar[][] stay = new BoolVar[from.length][to.length];
      for (int i = 0; i < from.length; i++) {
        for (int j = 0; j < to.length; j++) {
          stay[i][j] = model.newBoolVar("");
          model.addImplication(stay[i][j], from[i][group]);
          model.addImplication(stay[i][j], to[j][group]);
          model.addHint(
              stay[i][j], map[gap][i] / width == group && map[gap + 1][j] / width == group);
          saved.addTerm(stay[i][j], chain.weight(gap, i, j));
        }
      }

      for (int i = 0; i < from.length; i++) {
        model.addLessOrEqual(LinearExpr.sum(stay[i]), LinearExpr.term(from[i][group], room));
      }

      for (int j = 0; j < to.length; j++) {
        LinearExprBuilder column = LinearExpr.newBuilder();
        for (int i = 0; i < from.length; i++) {
          column.add(stay[i][j]);
        }

        model.addLessOrEqual(column, LinearExpr.term(to[j][group], room));
      }
    }
  }

  /** What the window saves as it is. */
  private long stays() {
    long sum = 0;
    for (int layer = first; layer <= last; layer++) {
      for (int i = 0; i < map[layer].length; i++) {
        sum += outside(layer, i, map[layer][i]);
        for (int j = 0; layer < last && j < map[layer + 1].length; j++) {
          sum += chain.weight(layer, i, j) * saved(map[layer][i], map[layer + 1][j]);
        }
      }
    }

    return sum;
  }

  /**
   * Solves the program.
   *
   * @param limit in CP-SAT's deterministic seconds
   * @param status receives how it ended
   * @return a better map, if one was found
   */
  Optional<int[][]> solve(double limit, CpSolverStatus[] status) {
    CpSolver solver = new CpSolver();
    solver.getParameters().setMaxDeterministicTime(limit).setNumWorkers(1).setRandomSeed(1);
    status[0] = solver.solve(model);
    if (status[0] != CpSolverStatus.OPTIMAL && status[0] != CpSolverStatus.FEASIBLE) {
      return Optional.empty();
    }

    int[][] better = map.clone();
    for (int layer = first; layer <= last; layer++) {
      better[layer] = new int[map[layer].length];
      for (int i = 0; i < better[layer].length; i++) {
        for (int part = 0; part < chain.parts().gpus(); part++) {
          better[layer][i] =
              solver.booleanValue(x[layer - first][i][part]) ? part : better[layer][i];
        }
      }
    }

    return Optional.of(better);
  }
}
