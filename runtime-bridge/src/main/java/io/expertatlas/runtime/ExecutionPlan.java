package io.expertatlas.runtime;

import io.expertatlas.placement.CopyChoice;
import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.Placement;
import io.expertatlas.trace.ModelShape;
import java.util.Objects;
import java.util.Optional;

/**
 * What a run follows: which rank holds which expert, and how tokens reach them.
 *
 * @param shape the model's MoE layers
 * @param placement a rank for each expert, or several where it has copies; its GPUs are the ranks
 * @param mode how tokens travel
 * @param offload how experts move between host and device; empty: all stay on the devices
 */
public record ExecutionPlan(
    ModelShape shape, Placement placement, ParallelMode mode, Optional<Offload> offload) {
  /**
   * Checks that the placement is for this model.
   *
   * @throws IllegalArgumentException if not, with both shapes, or if experts may be computed on the
   *     CPU beside several ranks, or beside too many slots
   */
  public ExecutionPlan {
    Objects.requireNonNull(mode, "mode is null");
    if (placement.layers() != shape.layers() || placement.experts() != shape.experts()) {
      throw new IllegalArgumentException(
          "Invalid placement for this model: %d MoE layers x %d experts, the model has %s"
              .formatted(placement.layers(), placement.experts(), shape));
    }

    if (offload.filter(Offload::onCpu).isPresent() && placement.topology().gpus() > 1) {
      throw new IllegalArgumentException(
          "Cannot compute experts on the CPU beside %d ranks: only beside one"
              .formatted(placement.topology().gpus()));
    }

    int most = Offload.MOST_SLOTS - shape.experts();
    if (offload.filter(held -> held.onCpu() && held.slots() > most).isPresent()) {
      throw new IllegalArgumentException(
          "Invalid number of expert slots beside experts on the CPU: %d, 1 to %d less the %d experts of a layer"
              .formatted(offload.get().slots(), Offload.MOST_SLOTS, shape.experts()));
    }
  }

  /** A plan whose experts all stay on the devices. */
  public ExecutionPlan(ModelShape shape, Placement placement, ParallelMode mode) {
    this(shape, placement, mode, Optional.empty());
  }

  /** The same with experts in host memory. */
  public ExecutionPlan with(Offload other) {
    return new ExecutionPlan(shape, placement, mode, Optional.of(other));
  }

  /** Number of ranks. */
  public int ranks() {
    return placement.topology().gpus();
  }

  /**
   * The rank that computes a choice of a token, by {@link CopyChoice}.
   *
   * @param layer of the model's MoE layers
   * @param on the rank that the token is on
   */
  public int rank(int layer, int expert, int on, int sequence, int position) {
    return CopyChoice.gpu(placement, layer, expert, on, sequence, position);
  }

  /** Whether a copy of an expert is on a rank. */
  public boolean holds(int rank, int layer, int expert) {
    for (int copy = 0; copy < placement.copies(layer, expert); copy++) {
      if (placement.gpu(layer, expert, copy) == rank) {
        return true;
      }
    }

    return false;
  }

  /** The rank that a sequence is at home on: {@code sequence mod ranks}. */
  public int home(int sequence) {
    return sequence % ranks();
  }
}
