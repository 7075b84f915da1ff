package io.expertatlas.predictor.nd4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.predictor.AffineHeads;
import io.expertatlas.predictor.AffinePredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.TokenState;
import io.expertatlas.trace.ModelShape;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ForwardTest {
  @ParameterizedTest
  @CsvSource({
    "1,1,1,0",
    "3,2,2,0",
    "255,5,2,3",
    "256,8,2,16",
    "257,8,2,1",
    "511,4,1,7",
    "513,16,4,33",
    "1024,60,4,0",
    "1023,4,2,1100",
    "1025,3,1,1024",
    "4096,8,2,64",
    "4098,8,2,0"
  })
  void plainLoopsEqualNd4j(int hidden, int experts, int topK, int rank) {
    SplittableRandom random = new SplittableRandom(hidden);
    double size = 1 / Math.sqrt(hidden);
    AffineHeads heads =
        new AffineHeads(
            experts,
            rank,
            draw(random, experts * hidden, size),
            draw(random, experts, 1),
            rank % 2 == 1 ? draw(random, experts * experts, 1) : new float[0],
            draw(random, rank * hidden, size),
            draw(random, rank, 1),
            draw(random, rank * experts, 1),
            draw(random, experts * rank, 0.2));
    PredictedModel model = new PredictedModel("", new ModelShape(2, experts, topK), hidden);
    AffinePredictor predictor =
        new AffinePredictor(PredictorKind.RESIDUAL, model, 1, List.of(heads));
    TokenState token = new TokenState(model);
    System.arraycopy(draw(random, hidden, 1), 0, token.hidden(), 0, hidden);
    for (int rankOf = 0; rankOf < topK; rankOf++) {
      token.chosen()[rankOf] = experts - 1 - rankOf;
    }

    float[] into = new float[experts];
    predictor.predict(0, token, predictor.scratch(), into);
    assertThat(into)
        .containsExactly(ForwardTwin.scores(heads, token.hidden(), token.chosen()), within(1e-5f));
  }

  private static float[] draw(SplittableRandom random, int length, double size) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextDouble(-size, size);
    }

    return values;
  }
}
