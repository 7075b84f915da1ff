package io.expertatlas.placement;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * The transfers that lead from one placement to another, in an order in which no GPU ever holds
 * more experts of a layer than its slots. Layers are changed one after the other. A move into a
 * free slot needs nothing; where all GPUs on the way are full, the experts that wait for each other
 * form a cycle, which is broken by {@link Staging}.
 *
 * @param steps in the order in which they are to be carried out
 * @param staging how cycles are broken
 */
public record MovePlan(List<MovePlan.Step> steps, Staging staging) {
  /** How a cycle of experts on full GPUs is broken. */
  public enum Staging {
    /**
     * One GPU of the cycle takes an expert into a slot beyond its own, and gives one away before
     * the next cycle: one staging slot per GPU, used by one GPU and layer at a time.
     */
    SPARE,
    /** Two GPUs exchange two experts at once; no slot beyond their own, but more transfers. */
    SWAP
  }

  /**
   * A transfer, or an exchange of two experts.
   *
   * @param layer of the experts
   * @param expert that goes
   * @param from its GPU
   * @param to where it goes
   * @param back the expert that comes back at the same time, or -1
   * @param isStaged whether it goes into the staging slot of {@code to}
   */
  public record Step(int layer, int expert, int from, int to, int back, boolean isStaged) {
    /** Experts that travel. */
    public int transfers() {
      return back < 0 ? 1 : 2;
    }
  }

  /** Copies the list. */
  public MovePlan {
    steps = List.copyOf(steps);
    Objects.requireNonNull(staging, "staging is null");
  }

  /**
   * The transfers from one placement to another.
   *
   * @param slots experts of a layer that each GPU can hold
   * @throws IllegalArgumentException if the placements are of different models or clusters, or one
   *     does not fit into the slots
   */
  public static MovePlan between(
      Placement current, Placement target, SlotBounds slots, Staging staging) {
    if (!current.topology().equals(target.topology())
        || current.layers() != target.layers()
        || current.experts() != target.experts()
        || slots.gpus() != target.topology().gpus()) {
      throw new IllegalArgumentException(
          "Cannot move between placements of %d layers x %d experts on %s GPUs and %d x %d on %s"
              .formatted(
                  current.layers(),
                  current.experts(),
                  current.topology(),
                  target.layers(),
                  target.experts(),
                  target.topology()));
    }

    List<Step> steps = new ArrayList<>();
    for (int layer = 0; layer < current.layers(); layer++) {
      new Layer(current, target, slots, layer, steps).move(staging);
    }

    return new MovePlan(steps, staging);
  }

  /** Experts that travel over all steps; an exchange counts two. */
  public int transfers() {
    int transfers = 0;
    for (Step step : steps) {
      transfers += step.transfers();
    }

    return transfers;
  }

  /** A layer on its way. */
  private static final class Layer {
    private final int layer;
    private final int[] now; // [expert]
    private final int[] goal; // [expert]
    private final int[] held; // [gpu]
    private final SlotBounds slots;
    private final List<Step> steps;

    Layer(Placement current, Placement target, SlotBounds slots, int layer, List<Step> steps) {
      this.layer = layer;
      this.slots = slots;
      this.steps = steps;
      this.now = new int[current.experts()];
      this.goal = new int[current.experts()];
      this.held = new int[slots.gpus()];
      int[] later = new int[held.length];
      for (int expert = 0; expert < now.length; expert++) {
        now[expert] = current.gpu(layer, expert);
        goal[expert] = target.gpu(layer, expert);
        held[now[expert]]++;
        later[goal[expert]]++;
      }

      for (int gpu = 0; gpu < held.length; gpu++) {
        if (Math.max(held[gpu], later[gpu]) > slots.most(gpu)) {
          throw new IllegalArgumentException(
              "Cannot move layer %d: GPU %d holds %d experts before and %d after, it has %d slots"
                  .formatted(layer, gpu, held[gpu], later[gpu], slots.most(gpu)));
        }
      }
    }

    void move(Staging staging) {
      while (true) {
        int free = withFreeGoal();
        if (free >= 0) {
          carryOut(free, false);
          continue;
        }

        List<Integer> cycle = cycle();
        if (cycle.isEmpty()) {
          return;
        }

        if (staging == Staging.SPARE) {
          // the first goes to the staging slot; each slot that this frees is the goal of the one
          // before, until one leaves the GPU that took the first
          carryOut(cycle.get(0), true);
          for (int i = cycle.size() - 1; i > 0; i--) {
            carryOut(cycle.get(i), false);
          }
        } else {
          for (int i = 1; i < cycle.size(); i++) {
            exchange(cycle.get(i - 1), cycle.get(i));
          }
        }
      }
    }

    private int withFreeGoal() {
      for (int expert = 0; expert < now.length; expert++) {
        if (now[expert] != goal[expert] && held[goal[expert]] < slots.most(goal[expert])) {
          return expert;
        }
      }

      return -1;
    }

    /** Experts each of which waits for the GPU of the next, the last for that of the first. */
    private List<Integer> cycle() {
      List<Integer> path = new ArrayList<>();
      int expert = leaving(-1);
      while (expert >= 0) {
        for (int i = 0; i < path.size(); i++) {
          if (now[path.get(i)] == now[expert]) {
            return path.subList(i, path.size());
          }
        }

        path.add(expert);
        expert = leaving(goal[expert]); // its goal is full and must give one away
      }

      return List.of();
    }

    /** The first expert that has to leave a GPU, or any GPU if {@code gpu} is -1. */
    private int leaving(int gpu) {
      for (int expert = 0; expert < now.length; expert++) {
        if (now[expert] != goal[expert] && (gpu < 0 || now[expert] == gpu)) {
          return expert;
        }
      }

      return -1;
    }

    private void carryOut(int expert, boolean staged) {
      steps.add(new Step(layer, expert, now[expert], goal[expert], -1, staged));
      held[now[expert]]--;
      held[goal[expert]]++;
      now[expert] = goal[expert];
    }

    private void exchange(int one, int other) {
      steps.add(new Step(layer, one, now[one], now[other], other, false));
      int kept = now[one];
      now[one] = now[other];
      now[other] = kept;
    }
  }
}
