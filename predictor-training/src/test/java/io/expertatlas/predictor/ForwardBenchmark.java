package io.expertatlas.predictor;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.ModelShape;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The forward pass of one token in one layer, on one core: heads of 8 experts; {@code headOuts = 3,
 * rank = 32} is the residual predictor as it is trained by default.
 *
 * <pre>
 * java -cp 'predictor-training/target/test-classes:predictor-training/target/classes:predictor-training/target/lib/*:JMH' \
 *   org.openjdk.jmh.Main ForwardBenchmark</pre>
 *
 * <p>{@code JMH}: jmh-core and what it needs, which {@code target/lib} leaves out.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 7, time = 1)
public class ForwardBenchmark {
  @Param({"4096", "192"})
  public int hidden;

  @Param({"1", "3"})
  public int headOuts;

  @Param({"0", "32", "64"})
  public int rank;

  private AffinePredictor predictor;
  private TokenState token;
  private Scratch scratch;
  private float[] into;

  /** For JMH. */
  public ForwardBenchmark() {}

  /** Draws weights and a token. */
  @Setup
  public void draw() {
    int experts = 8;
    SplittableRandom random = new SplittableRandom(1);
    PredictedModel model = new PredictedModel("", new ModelShape(headOuts + 1, experts, 2), hidden);
    List<AffineHeads> layers =
        IntStream.range(0, headOuts)
            .mapToObj(layer -> heads(random, (headOuts - layer) * experts, experts))
            .toList();
    predictor = new AffinePredictor(PredictorKind.RESIDUAL, model, headOuts, layers);
    token = new TokenState(model);
    System.arraycopy(draw(random, hidden), 0, token.hidden(), 0, hidden);
    token.chosen()[1] = 5;
    scratch = predictor.scratch();
    into = new float[headOuts * experts];
  }

  private AffineHeads heads(SplittableRandom random, int outputs, int experts) {
    return new AffineHeads(
        outputs,
        rank,
        draw(random, outputs * hidden),
        draw(random, outputs),
        draw(random, experts * outputs),
        draw(random, rank * hidden),
        draw(random, rank),
        draw(random, experts * rank),
        draw(random, outputs * rank));
  }

  private static float[] draw(SplittableRandom random, int length) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextDouble(-0.02, 0.02);
    }

    return values;
  }

  /** Layer 0, which has every head-out. */
  @Benchmark
  public float[] oneToken() {
    predictor.predict(0, token, scratch, into);
    return into;
  }

  @Test
  void computesEveryScore() {
    hidden = 300;
    headOuts = 2;
    rank = 3;
    draw();
    float[] scores = oneToken().clone();
    assertThat(scores).doesNotContain(0f);
    assertThat(oneToken()).isEqualTo(scores);
  }
}
