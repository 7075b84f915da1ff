package io.expertatlas.runtime.sim;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.sim.PaperClaims.Claim;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class PaperClaimsTest {
  private final List<SweepPoint> points = new ArrayList<>();

  private void pair(
      String model, double skew, String topology, int gpus, int batch, double mobius, double ours) {
    points.add(new SweepPoint(model, skew, topology, gpus, batch, PipelineKind.MOBIUS, mobius));
    points.add(new SweepPoint(model, skew, topology, gpus, batch, PipelineKind.APTMOE, ours));
  }

  @Test
  void gainsAgreeWithinTenPointsAndOneSign() {
    pair("S-16", 0.3, "C1+G4", 4, 128, 1, 1 / 1.05); // -2 in the paper
    pair("S-16", 0.3, "C1+G2", 4, 128, 1, 1 / 1.2); // +28.3
    pair("S-16", 0.3, "C1+G1", 4, 128, 1, 1 / 1.42); // +31
    assertThat(PaperClaims.of(points))
        .containsExactly(
            new Claim("Gain over Mobius, S-16, skew 0.3, C1+G4", "-2.0 %", "+5.0 %", false),
            new Claim("Gain over Mobius, S-16, skew 0.3, C1+G2", "+28.3 %", "+20.0 %", true),
            new Claim("Gain over Mobius, S-16, skew 0.3, C1+G1", "+31.0 %", "+42.0 %", false));
  }

  @Test
  void trendsNeedEveryStepUpOrDown() {
    pair("S-8", 0.2, "C1+G2", 4, 128, 1, 1 / 1.1);
    pair("S-8", 0.4, "C1+G2", 4, 128, 1, 1 / 1.2);
    pair("S-8", 0.6, "C1+G2", 4, 128, 1, 1 / 1.15);
    pair("M-8", 0.6, "C1+G2", 4, 128, 1, 1 / 1.1);
    pair("L-8", 0.6, "C1+G2", 4, 128, 1, 1 / 1.05);
    assertThat(PaperClaims.of(points))
        .contains(
            new Claim("Largest gain over Mobius, S-8, C1+G2", "+32.3 %", "+20.0 %", false),
            new Claim(
                "Gain over Mobius with the skew, S-8", "grows", "+10.0 %, +20.0 %, +15.0 %", false),
            new Claim(
                "Gain over Mobius with the expert's size, S-8, M-8, L-8, skew 0.6",
                "falls",
                "+15.0 %, +10.0 %, +5.0 %",
                true));
  }

  @Test
  void speedupsAndBatchesCompareLikeWithLike() {
    pair("S-64", 0.1, "C1+G2", 4, 128, 9, 3.2);
    pair("S-64", 0.1, "C1+G2", 8, 128, 9, 2);
    pair("S-16", 0.3, "C1+G2", 4, 128, 1, 1 / 1.3);
    pair("S-16", 0.3, "C1+G2", 4, 64, 1, 1 / 1.2);
    assertThat(PaperClaims.of(points))
        .contains(
            new Claim("Speedup of 8 GPUs over 4, S-64, skew 0.1", "1.65x", "1.60x", true),
            new Claim(
                "Gain over Mobius with the batch, S-16, skew 0.3",
                "grows",
                "64: +20.0 %, 128: +30.0 %",
                true));
  }

  @Test
  void whatDidNotFitIsNotCompared() {
    pair("S-16", 0.4, "C1+G2", 4, 128, Double.NaN, 1);
    assertThat(PaperClaims.of(points)).isEmpty();
    assertThat(PaperClaims.of(List.of())).isEmpty();
  }
}
