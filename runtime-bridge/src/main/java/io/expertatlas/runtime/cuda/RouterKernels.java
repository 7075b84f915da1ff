package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.Tensor;

/**
 * Kernels of {@code router.cu}: from a router to sorted choices, and from results to weighted sums.
 */
final class RouterKernels {
  private static final int MOST_EXPERTS = 512; // router.cu
  private static final int MOST_CHOICES = 32; // router.cu: a lane for each
  private static final int OWN_SHARED = 1024; // router.cu: more than norm_and_route declares

  private final Kernels kernels;

  RouterKernels(Kernels kernels) {
    this.kernels = kernels;
  }

  /** Whether {@link #normAndRoute} holds a row and the logits of a token in shared memory. */
  boolean fits(Tensor normed, Tensor router, Tensor experts) {
    int all = Math.toIntExact(router.size(0));
    Shapes.atMost("experts of a layer", all, MOST_EXPERTS);
    Shapes.atMost("experts of a token", ((CudaTensor) experts).columns(), MOST_CHOICES);
    return shared((CudaTensor) normed, all) + OWN_SHARED <= Kernels.PLAIN_SHARED;
  }

  private static int shared(CudaTensor normed, int all) {
    return (normed.columns() + all) * Float.BYTES;
  }

  void normAndRoute(
      Tensor x,
      Tensor weight,
      double epsilon,
      Tensor router,
      boolean renormalize,
      Tensor normed,
      Tensor logits,
      Tensor experts,
      Tensor weights) {
    CudaTensor from = (CudaTensor) x;
    CudaTensor to = (CudaTensor) normed;
    int all = Math.toIntExact(router.size(0));
    int k = ((CudaTensor) experts).columns();
    int shared = shared(to, all);
    kernels
        .on("norm_and_route_" + from.letter() + to.letter(), to.rows(), 512)
        .shared(shared)
        .with(from)
        .with((CudaTensor) weight)
        .with((float) epsilon)
        .with((CudaTensor) router)
        .with(to)
        .with((CudaTensor) logits)
        .with(to.columns())
        .with(all)
        .with(k)
        .with(renormalize ? 1 : 0)
        .with((CudaTensor) experts)
        .with((CudaTensor) weights)
        .run();
  }

  void route(Tensor logits, boolean renormalize, Tensor experts, Tensor weights) {
    CudaTensor from = (CudaTensor) logits;
    int k = ((CudaTensor) experts).columns();
    Shapes.atMost("experts of a layer", from.columns(), MOST_EXPERTS);
    Shapes.atMost("experts of a token", k, MOST_CHOICES);
    kernels
        .on("route", (from.rows() + 7) / 8, 256)
        .with(from)
        .with(from.rows())
        .with(from.columns())
        .with(k)
        .with(renormalize ? 1 : 0)
        .with((CudaTensor) experts)
        .with((CudaTensor) weights)
        .run();
  }

  void groupByExpert(Tensor experts, Tensor local, ExpertGroups into) {
    int here = Math.toIntExact(into.offsets().elements() - 1);
    Shapes.atMost("experts of a layer on a rank", here, MOST_EXPERTS);
    kernels
        .on("sort_by_expert", 1, 512)
        .with((CudaTensor) experts)
        .with((CudaTensor) local)
        .with(Math.toIntExact(experts.elements()))
        .with(here)
        .with((CudaTensor) into.order())
        .with((CudaTensor) into.place())
        .with((CudaTensor) into.offsets())
        .run();
  }

  void combine(Tensor in, ExpertGroups groups, Tensor weights, Tensor out) {
    CudaTensor from = (CudaTensor) in;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("combine_" + from.letter() + to.letter(), (to.columns() + 255) / 256, to.rows(), 1, 256)
        .with(from)
        .with((CudaTensor) groups.place())
        .with((CudaTensor) weights)
        .with(to)
        .with(((CudaTensor) weights).columns())
        .with(to.columns())
        .with(0)
        .run();
  }

  void combineAndNorm(
      Tensor in,
      ExpertGroups groups,
      Tensor weights,
      Tensor x,
      Tensor norm,
      double epsilon,
      Tensor normed) {
    CudaTensor from = (CudaTensor) in;
    CudaTensor residual = (CudaTensor) x;
    Shapes.sameType("combineAndNorm", in, normed);
    kernels
        .on("combine_and_norm_" + from.letter() + residual.letter(), residual.rows(), 512)
        .with(from)
        .with((CudaTensor) groups.place())
        .with((CudaTensor) weights)
        .with(residual)
        .with(((CudaTensor) weights).columns())
        .with((CudaTensor) norm)
        .with((float) epsilon)
        .with((CudaTensor) normed)
        .with(residual.columns())
        .run();
  }
}
