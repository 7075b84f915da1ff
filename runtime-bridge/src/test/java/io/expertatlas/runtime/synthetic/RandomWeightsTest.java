package io.expertatlas.runtime.synthetic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.RandomValues;
import io.expertatlas.runtime.TensorData;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RandomWeightsTest {
  private static final MixtralConfig TINY = NamedShapes.find("mixtral-tiny");

  @Test
  void valuesDoNotDependOnHowTheyAreRead() {
    RandomWeights weights = new RandomWeights(TINY, RandomWeights.popularity(TINY, 0.2, 1), 1);
    for (String name :
        new String[] {"model.embed_tokens.weight", "model.layers.1.self_attn.o_proj.weight"}) {
      long rows = name.startsWith("model.e") ? TINY.vocabulary() : TINY.hidden();
      TensorData tensor = weights.tensor(name, rows, 48);
      ByteBuffer all = buffer((int) tensor.elements());
      tensor.read(0, all);
      for (int from = 0; from < 150; from += 7) {
        ByteBuffer piece = buffer(101);
        tensor.read(from, piece);
        assertThat(piece.array())
            .isEqualTo(Arrays.copyOfRange(all.array(), 2 * from, 2 * from + 202));
      }
    }
  }

  private static ByteBuffer buffer(int elements) {
    return ByteBuffer.allocate(2 * elements).order(ByteOrder.LITTLE_ENDIAN);
  }

  @Test
  void valuesHaveTheSizeThatIsSaid() {
    RandomValues tensor = new RandomValues("t", List.of(100_000L), 5, -3, 0);
    ByteBuffer all = buffer(100_000);
    tensor.read(0, all);
    double squares = 0;
    double sum = 0;
    for (int i = 0; i < 100_000; i++) {
      float value = Float.intBitsToFloat(all.getShort(2 * i) << 16);
      assertThat(Math.abs(value)).isBetween(0x1p-5f, 0x1p-2f);
      squares += (double) value * value;
      sum += value;
    }

    assertThat(Math.sqrt(squares / 100_000)).isCloseTo(tensor.rootMeanSquare(), within(2e-3));
    assertThat(sum / 100_000).isCloseTo(0, within(2e-3));
  }

  @ParameterizedTest
  @CsvSource({"1, 1, 0", "8, 2, 0", "8, 2, 0.3", "8, 2, 0.6", "64, 6, 0.5", "5, 1, 0.79"})
  void sharesHaveTheGiniCoefficientAndNoneIsAboveItsBound(int experts, int k, double gini) {
    double[] shares = Popularity.ofGini(experts, k, gini);

    assertThat(Arrays.stream(shares).sum()).isCloseTo(1, within(1e-9));
    assertThat(Popularity.gini(shares)).isCloseTo(gini, within(1e-6));
    assertThat(Arrays.stream(shares).max().orElseThrow()).isLessThanOrEqualTo(1.0 / k + 1e-9);
  }

  @Test
  void impossibleCoefficientsAndShapesAreRefused() {
    assertThatThrownBy(() -> Popularity.ofGini(8, 2, 0.9))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid Gini coefficient: 0.9, 0 to 0.750 for 8 experts, top-2");
    assertThatThrownBy(() -> Popularity.ofGini(8, 2, -0.1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("Invalid Gini coefficient: -0.1");
    assertThatThrownBy(() -> NamedShapes.find("gpt"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid shape: gpt, one of mixtral-8x7b, mixtral-8x22b, mixtral-8x7b-layer,"
                + " mixtral-8x100m, mixtral-tiny");
  }

  @Test
  void countedPopularityIsTakenByPlaceAndRefusedWhereItCannotBe() {
    long[][] choices = {{2, 1, 1, 0, 0}, {0, 0, 1, 1, 2}, {1, 1, 1, 1, 1}, {0, 3, 3, 0, 0}};

    assertThat(RandomWeights.popularity(TINY, choices))
        .isDeepEqualTo(
            new double[][] {
              {0.5, 0.25, 0.25, 0, 0}, {0, 0, 0.25, 0.25, 0.5}, {0.2, 0.2, 0.2, 0.2, 0.2}
            });
    assertThatThrownBy(() -> RandomWeights.popularity(TINY, new long[][] {{1, 2, 0, 0, 0}}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid popularity: expert 1 of layer 0 has 0.6667 of the choices, with top-2 at most"
                + " 0.5000");
    assertThatThrownBy(() -> RandomWeights.popularity(TINY, new long[][] {{1, 1}}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid popularity: of 2 experts, the model has 5");
  }
}
