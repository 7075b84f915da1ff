package io.expertatlas.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.search.Starts;
import org.junit.jupiter.api.Test;

class PlacementProblemTest {
  @Test
  void balanceIsEqualOrOneApartAndSaid() {
    PlacementProblem even = Routes.problem(Routes.CASE_A, 1, 2);
    assertThat(even.balance()).isEqualTo("2 experts of each layer on every GPU");
    PlacementProblem odd = Routes.problem(Routes.CASE_A, 1, 3);
    assertThat(odd.balance())
        .isEqualTo("1 to 2 experts of each layer on a GPU (4 experts, 3 GPUs)");
    assertThat(odd.isMetBy(new Placement(odd.topology(), Starts.vanilla(odd)))).isTrue();
  }

  @Test
  void boundsAndClusterAreChecked() {
    PlacementProblem problem = Routes.problem(Routes.CASE_A, 1, 2);
    int[][] uneven = {{0, 0, 0, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}};
    assertThat(problem.isMetBy(new Placement(problem.topology(), uneven))).isFalse();
    Placement elsewhere = new Placement(new Topology(2, 1), Starts.vanilla(problem));
    assertThat(problem.isMetBy(elsewhere)).isFalse();
    assertThatThrownBy(() -> SlotBounds.uniform(2, 3, 2))
        .hasMessage("Invalid experts of a layer on GPU 0: 3 to 2, at least 0 to at least as many");
    assertThatThrownBy(() -> problem.withSlots(SlotBounds.uniform(3, 1, 2)))
        .hasMessage("Invalid slots: of 3 GPUs, the topology 1x2 has 2");
    assertThatThrownBy(() -> new SlotBounds(new int[] {1}, new int[] {1, 2}))
        .hasMessage("Invalid slots: bounds of 1 and 2 GPUs, expected equally many, at least 1");
  }

  @Test
  void unequalSlotsAreMetGpuByGpu() {
    PlacementProblem problem =
        Routes.problem(Routes.CASE_A, 1, 2)
            .withSlots(new SlotBounds(new int[] {3, 1}, new int[] {3, 1}));
    assertThat(problem.balance())
        .isEqualTo("experts of each layer per GPU: [3, 1] to [3, 1] (4 experts, 2 GPUs)");
    assertThat(Starts.vanilla(problem)[0]).containsExactly(0, 0, 0, 1);
    assertThat(problem.isMetBy(new Placement(problem.topology(), Starts.vanilla(problem))))
        .isTrue();
    int[][] other = {{0, 1, 1, 1}, {0, 0, 0, 1}, {0, 0, 0, 1}};
    assertThat(problem.isMetBy(new Placement(problem.topology(), other))).isFalse();
  }

  @Test
  void capsAreHardAndNamed() {
    PlacementProblem problem = Routes.problem(Routes.CASE_A, 1, 2);
    Placement vanilla = new Placement(problem.topology(), Starts.vanilla(problem));
    PlacementCost cost = PlacementCost.of(problem.counts(), vanilla);
    Caps met =
        Caps.NONE
            .withLoad(3, 3, 4)
            .withTotal(Objective.HOPS, 5)
            .withTotal(Objective.LOAD, Objective.LOAD.total(cost));
    assertThat(problem.withCaps(met).isMetBy(vanilla)).isTrue();
    assertThat(met.violation(cost)).isEmpty();
    assertThat(met.withLoad(3, 1, 4).violation(cost))
        .contains("layer 1 has 3 choices on its hottest GPU, at most 1");
    assertThat(met.withTotal(Objective.HOPS, 4).violation(cost))
        .contains("total hops is 5, at most 4");
    assertThat(problem.withCaps(met.withTotal(Objective.HOPS, 4)).isMetBy(vanilla)).isFalse();
    assertThat(met.toString()).isEqualTo("at most load [3, 3, 4], total hops 5, total load 10");
    assertThat(Caps.NONE.toString()).isEqualTo("no caps");
    assertThatThrownBy(() -> problem.withCaps(Caps.NONE.withLoad(1, 2)))
        .hasMessage("Invalid caps: not of 3 layers, at most load [1, 2]");
    assertThatThrownBy(() -> Caps.NONE.withLoad(1, -2))
        .hasMessage("Invalid cap on the load of layer 1: -2, at least 0");
    assertThatThrownBy(() -> Caps.NONE.withTotal(Objective.FANOUT, -1))
        .hasMessage("Invalid cap on fanout: -1, at least 0");
  }

  @Test
  void objectivesHaveWords() {
    assertThat(Objective.ofWord("crossings")).isEqualTo(Objective.CROSSINGS);
    assertThatThrownBy(() -> Objective.ofWord("speed"))
        .hasMessage("Invalid objective: speed, one of hops, crossings, fanout, load, copies");
  }
}
