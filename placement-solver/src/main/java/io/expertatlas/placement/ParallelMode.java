package io.expertatlas.placement;

import java.util.Locale;

/** How tokens meet experts that live on other GPUs. */
public enum ParallelMode {
  /**
   * A token has a home GPU, where its sequence's context is. In every MoE layer it is sent to each
   * other GPU that its experts are on, and one partial sum comes back from each: what serving
   * engines do.
   */
  HOME,

  /**
   * Every GPU holds the context of all sequences. A token stays where its last first choice ran: it
   * is sent to each other GPU that its experts are on, and the partial sums meet on the GPU of its
   * first choice (ExFlow, arXiv 2401.08383). Its first layer begins at home.
   */
  COHERENT;

  /** The word of options and files. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
