package io.expertatlas.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.SplittableRandom;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class TrafficReplayTest {
  @Test
  void countsEachPairByHand() {
    // one token at home on GPU 0, experts 0 and 1 on GPU 0, experts 2 and 3 on GPU 1
    ModelShape shape = new ModelShape(3, 4, 2);
    Placement placement =
        new Placement(new Topology(1, 2), new int[][] {{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}});
    RoutingTrace token = RoutingTrace.ofExperts(shape, new short[] {2, 0, 3, 2, 1, 0});

    assertThat(moved(shape, placement, ParallelMode.HOME, token).toArray(10))
        .isEqualTo(new long[][][] {{{0, 10}, {10, 0}}, {{0, 10}, {10, 0}}, {{0, 0}, {0, 0}}});
    assertThat(moved(shape, placement, ParallelMode.COHERENT, token).toArray(10))
        .isEqualTo(new long[][][] {{{0, 20}, {0, 0}}, {{0, 0}, {0, 0}}, {{0, 0}, {10, 0}}});
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void totalsFollowFromTheGpusOfEachLayer(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = random.nextInt(1, 6);
    ModelShape shape =
        new ModelShape(random.nextInt(1, 5), experts, random.nextInt(1, experts + 1));
    Topology topology = new Topology(1, random.nextInt(1, 5));
    int[][] map = new int[shape.layers()][experts];
    for (int[] layer : map) {
      for (int e = 0; e < experts; e++) {
        layer[e] = random.nextInt(topology.gpus());
      }
    }

    Placement placement = new Placement(topology, map);
    RoutingTrace trace = trace(shape, random.nextInt(0, 30), random);
    long home = 0;
    long coherent = 0;
    for (int token = 0; token < trace.tokens(); token++) {
      int before = trace.sequence(token) % topology.gpus();
      int atHome = before;
      for (int layer = 0; layer < shape.layers(); layer++) {
        TreeSet<Integer> touched = new TreeSet<>();
        for (int rank = 0; rank < shape.topK(); rank++) {
          touched.add(map[layer][trace.expert(token, layer, rank)]);
        }

        home += 2L * (touched.size() - (touched.contains(atHome) ? 1 : 0));
        coherent += touched.size() - (touched.contains(before) ? 1 : 0) + touched.size() - 1;
        before = map[layer][trace.expert(token, layer, 0)];
      }
    }

    assertThat(moved(shape, placement, ParallelMode.HOME, trace).total()).isEqualTo(home);
    assertThat(moved(shape, placement, ParallelMode.COHERENT, trace).total()).isEqualTo(coherent);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void topOneMovesOncePerCrossingBehindTheFirstLayer(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    ModelShape shape = new ModelShape(4, 6, 1);
    Placement placement =
        new Placement(
            new Topology(1, 3),
            new int[][] {
              {0, 1, 2, 0, 1, 2}, {2, 2, 1, 1, 0, 0}, {0, 0, 0, 1, 1, 2}, {1, 1, 1, 1, 1, 1}
            });
    RoutingTrace trace = trace(shape, 40, random);
    Replay replay = new Replay(shape, placement);
    replay.add(trace);

    TrafficMatrix moved = moved(shape, placement, ParallelMode.COHERENT, trace);
    long first = 0;
    for (int from = 0; from < 3; from++) {
      for (int to = 0; to < 3; to++) {
        first += moved.vectors(0, from, to);
      }
    }

    assertThat(moved.total() - first).isEqualTo(replay.cost().crossings());
  }

  @Test
  void refusesAPlacementOfAnotherShapeAndATransferToItself() {
    Placement placement = new Placement(new Topology(1, 2), new int[][] {{0, 1}});

    assertThatThrownBy(
            () -> new TrafficReplay(new ModelShape(2, 2, 1), placement, ParallelMode.HOME))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid placement for this trace: 1 layers x 2 experts, the trace has 2 MoE layers x 2"
                + " experts, top-1");
    assertThatThrownBy(() -> new TrafficMatrix(1, 2).add(0, 1, 1, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid transfer in layer 0: from GPU 1 to itself");
  }

  private static TrafficMatrix moved(
      ModelShape shape, Placement placement, ParallelMode mode, RoutingTrace trace) {
    TrafficReplay replay = new TrafficReplay(shape, placement, mode);
    replay.add(trace);
    return replay.moved();
  }

  private static RoutingTrace trace(ModelShape shape, int tokens, SplittableRandom random) {
    short[] experts = new short[tokens * shape.choicesPerToken()];
    int[] sequence = new int[tokens];
    int[] position = new int[tokens];
    for (int token = 0; token < tokens; token++) {
      sequence[token] = token / 3;
      position[token] = token % 3;
      for (int layer = 0; layer < shape.layers(); layer++) {
        int first = random.nextInt(shape.experts());
        for (int rank = 0; rank < shape.topK(); rank++) {
          experts[(token * shape.layers() + layer) * shape.topK() + rank] =
              (short) ((first + rank) % shape.experts());
        }
      }
    }

    return RoutingTrace.of(shape, experts, new float[0], sequence, position, new byte[tokens]);
  }

  @Test
  void countsTheCopiesThatTokensTakeByHand() {
    // sequence 1, at home on GPU 1 of 3; expert 0 everywhere, 1 on GPUs 0 and 2, 2 on GPU 0
    ModelShape shape = new ModelShape(2, 3, 2);
    int[][] layer = {{0, 1, 2}, {0, 2}, {0}};
    Placement placement = Placement.ofCopies(new Topology(1, 3), new int[][][] {layer, layer});
    short[] experts = {1, 0, 2, 1, 1, 0, 2, 1}; // two tokens alike
    RoutingTrace trace =
        RoutingTrace.of(
            shape, experts, new float[0], new int[] {1, 1}, new int[] {0, 1}, new byte[2]);

    // home: expert 1's copies in turn, position 0 to GPU 2, position 1 to GPU 0; expert 0 at home
    assertThat(moved(shape, placement, ParallelMode.HOME, trace).toArray(1))
        .isEqualTo(
            new long[][][] {
              {{0, 1, 0}, {1, 0, 1}, {0, 1, 0}},
              {{0, 2, 0}, {2, 0, 1}, {0, 1, 0}}
            });
    // coherent: they meet there; then expert 2 is on GPU 0 and expert 1 where the token is
    assertThat(moved(shape, placement, ParallelMode.COHERENT, trace).toArray(1))
        .isEqualTo(
            new long[][][] {
              {{0, 0, 0}, {2, 0, 2}, {0, 0, 0}},
              {{0, 0, 0}, {0, 0, 0}, {2, 0, 0}}
            });
  }
}
