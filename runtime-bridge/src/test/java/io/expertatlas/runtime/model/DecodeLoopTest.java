package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.TrafficMatrix;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.Offload;
import io.expertatlas.trace.Phase;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The loop on the device does what step after step does. */
class DecodeLoopTest {
  private static final ExecutionPlan ALONE =
      Runs.vanilla(Runs.config("mixtral").shape(), 1, ParallelMode.HOME);

  /** A model without its loop. */
  private record StepByStep(Model model) implements Model {
    @Override
    public ModelConfig config() {
      return model.config();
    }

    @Override
    public List<Device> devices() {
      return model.devices();
    }

    @Override
    public List<int[]> begin(int firstSequence, List<int[]> prompts) {
      return model.begin(firstSequence, prompts);
    }

    @Override
    public List<Logits> forward(Step step) {
      return model.forward(step);
    }

    @Override
    public TrafficMatrix moved() {
      return model.moved();
    }

    @Override
    public TrafficMatrix context() {
      return model.context();
    }

    @Override
    public Offload.Use offloaded() {
      return model.offloaded();
    }

    @Override
    public long vectorBytes() {
      return model.vectorBytes();
    }

    @Override
    public long contextVectorBytes() {
      return model.contextVectorBytes();
    }
  }

  /** A token as the routers saw it. */
  private record Seen(int sequence, int position, int id, List<Short> experts) {}

  private static List<Seen> seen(List<Routes> all) {
    List<Seen> seen = new ArrayList<>();
    for (Routes routes : all) {
      Step step = routes.step();
      int width = routes.shape().choicesPerToken();
      for (int t = 0; t < step.tokens(); t++) {
        List<Short> experts = new ArrayList<>();
        for (int i = 0; i < width; i++) {
          experts.add(routes.experts()[t * width + i]);
        }

        seen.add(new Seen(step.sequence(t), step.position(t), step.id(t), experts));
      }
    }

    return seen;
  }

  @ParameterizedTest
  @CsvSource({"0, 1, 8, 70", "0, 1, 1, 5", "0.9, 0.7, 8, 70", "1.5, 1, 3, 66"})
  void tokensAndRoutesAreThoseOfSingleSteps(
      float temperature, float topP, int prompts, int newTokens) {
    Limits limits = new Limits(8, 256, 64);
    Sampler sampler = new Sampler(temperature, topP, 3);
    List<int[]> input = Goldens.read("mixtral").prompts().subList(0, prompts);
    try (Runs fast = new Runs("mixtral", ALONE, limits);
        Runs slow = new Runs("mixtral", ALONE, limits)) {
      List<int[]> found =
          new Generation(fast.model, limits, sampler, newTokens, true, n -> {}).run(input);
      List<int[]> expected =
          new Generation(new StepByStep(slow.model), limits, sampler, newTokens, true, n -> {})
              .run(input);

      assertThat(found).containsExactlyElementsOf(expected);
      assertThat(seen(fast.routes)).containsExactlyElementsOf(seen(slow.routes));
    }
  }

  @Test
  void aSequenceThatEndsStopsTheStepsOfARun() {
    Limits limits = new Limits(1, 40, 20);
    try (Runs runs = new Runs("mixtral", ALONE, limits)) {
      DecodeLoop loop = runs.model.decodeLoop().orElseThrow();
      Step first = Step.of(Phase.DECODE, 0, List.of(new Step.Piece(0, 0, new int[] {5}, true, 0)));
      List<int[]> free = loop.run(first, 10, Sampler.GREEDY, new float[0][], -1);
      int end = free.get(3)[0];
      int stop = 0;
      while (free.get(stop)[0] != end) {
        stop++;
      }

      List<int[]> stopped = loop.run(first, 10, Sampler.GREEDY, new float[0][], end);
      assertThat(stopped).containsExactlyElementsOf(free.subList(0, stop + 1));
      assertThatThrownBy(() -> loop.run(first, 65, Sampler.GREEDY, new float[0][], -1))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Invalid number of decode steps: 65, 1 to 64");
    }
  }

  @Test
  void severalRanksHaveNoLoop() {
    ExecutionPlan plan = Runs.vanilla(Runs.config("mixtral").shape(), 2, ParallelMode.HOME);
    try (Runs runs = new Runs("mixtral", plan, new Limits(2, 8, 8))) {
      assertThat(runs.model.decodeLoop()).isEmpty();
    }
  }
}
