package io.expertatlas.placement.search;

import io.expertatlas.affinity.RouteCounter;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.Topology;
import io.expertatlas.trace.ModelShape;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Routes with a placement planted in them: the experts of each layer are dealt to GPUs at random,
 * equally many to each; a token stays on its GPU from layer to layer with probability 0.6, in its
 * node with 0.3, and goes anywhere else. Its other choices are mostly of its node.
 */
record Planted(RouteCounts counts, Placement placement) {
  private static final double ON_GPU = 0.6;
  private static final double IN_NODE = 0.9;

  static Planted draw(ModelShape shape, Topology topology, int tokens, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int each = shape.experts() / topology.gpus();
    int[][] expertOf = new int[shape.layers()][shape.experts()]; // [layer][slot]
    int[][] gpuOf = new int[shape.layers()][shape.experts()];
    for (int layer = 0; layer < shape.layers(); layer++) {
      Arrays.setAll(expertOf[layer], slot -> slot);
      Starts.shuffle(expertOf[layer], random);
      for (int slot = 0; slot < shape.experts(); slot++) {
        gpuOf[layer][expertOf[layer][slot]] = slot / each;
      }
    }

    RouteCounter counter = new RouteCounter(shape);
    int[] choices = new int[shape.choicesPerToken()];
    for (int token = 0; token < tokens; token++) {
      int gpu = random.nextInt(topology.gpus());
      for (int layer = 0; layer < shape.layers(); layer++) {
        double step = random.nextDouble();
        gpu = step < ON_GPU ? gpu : near(topology, gpu, step < IN_NODE, random);
        boolean[] chosen = new boolean[shape.experts()];
        for (int rank = 0; rank < shape.topK(); rank++) {
          int from = rank == 0 ? gpu : near(topology, gpu, random.nextInt(3) > 0, random);
          int expert = expertOf[layer][from * each + random.nextInt(each)];
          while (chosen[expert]) {
            expert = random.nextInt(shape.experts());
          }

          chosen[expert] = true;
          choices[layer * shape.topK() + rank] = expert;
        }
      }

      counter.add(choices, new float[0]);
    }

    return new Planted(counter.counts(), new Placement(topology, gpuOf));
  }

  /** Some GPU of the same node, or of all. */
  private static int near(Topology topology, int gpu, boolean inNode, SplittableRandom random) {
    int node = topology.node(gpu);
    return inNode
        ? topology.firstGpu(node) + random.nextInt(topology.gpusOf(node))
        : random.nextInt(topology.gpus());
  }
}
