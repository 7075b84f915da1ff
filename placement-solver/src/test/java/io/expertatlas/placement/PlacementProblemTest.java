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
    assertThatThrownBy(
            () -> new PlacementProblem(problem.counts(), problem.topology(), Objective.HOPS, 3, 2))
        .hasMessage("Invalid experts per GPU and layer: 3 to 2, at least 0 to at least as many");
  }

  @Test
  void objectivesHaveWords() {
    assertThat(Objective.ofWord("crossings")).isEqualTo(Objective.CROSSINGS);
    assertThatThrownBy(() -> Objective.ofWord("speed"))
        .hasMessage("Invalid objective: speed, one of hops, crossings");
  }
}
