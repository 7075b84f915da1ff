package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.Estimate;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.Scoring;
import io.expertatlas.predictor.json.SavedPredictor;
import java.util.List;

/** By how much the last predictor of a list beats each of the others, on the same sequences. */
final class GainTable {
  private GainTable() {}

  static String of(List<SavedPredictor> saved, Scoring scoring, long seed) {
    int last = saved.size() - 1;
    PredictorKind ours = saved.get(last).predictor().kind();
    if (ours != PredictorKind.RESIDUAL && ours != PredictorKind.AFFINE_ROUTE) {
      return "";
    }

    StringBuilder text = new StringBuilder();
    for (int p = 0; p < last; p++) {
      text.append("  %s above %s:".formatted(ours.word(), saved.get(p).predictor().kind().word()));
      for (int h = 1; h <= scoring.heads(p); h++) {
        Estimate gain = scoring.score(last, h).recallAbove(scoring.score(p, h), seed);
        text.append(
            "  h = %d %+.4f (%+.4f, %+.4f)".formatted(h, gain.value(), gain.low(), gain.high()));
      }

      text.append('\n');
    }

    return text.toString();
  }
}
