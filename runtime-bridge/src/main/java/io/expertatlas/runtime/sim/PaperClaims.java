package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.PipelineKind;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.function.Predicate;

/** What APTMoE's paper (SC'24) says of its machine, beside what a sweep gives. */
public final class PaperClaims {
  /** Gains agree if they have one sign and differ by so many percentage points at most. */
  public static final double POINTS = 10;

  /** Speedups agree if they differ by so much at most, relative. */
  public static final double RELATIVE = 0.15;

  private static final List<Double> LABELS_OF_8 = List.of(0.2, 0.4, 0.6, 0.8);
  private static final List<Double> LABELS_OF_16 = List.of(0.1, 0.2, 0.3, 0.4);

  private final List<SweepPoint> points;
  private final List<Claim> claims = new ArrayList<>();

  /**
   * A claim.
   *
   * @param text what is compared
   * @param paper its value there
   * @param ours the sweep's
   * @param agrees whether the two agree
   */
  public record Claim(String text, String paper, String ours, boolean agrees) {}

  private PaperClaims(List<SweepPoint> points) {
    this.points = points;
  }

  /** The claims that a sweep has the points for. */
  public static List<Claim> of(List<SweepPoint> points) {
    PaperClaims claims = new PaperClaims(points);
    claims.gain("S-16", 0.4, "C1+G2", 33);
    claims.best("S-8", 32.3, LABELS_OF_8);
    claims.best("M-8", 17.1, LABELS_OF_8);
    claims.best("M-16", 15.3, LABELS_OF_16);
    claims.gain("S-16", 0.3, "C1+G4", -2);
    claims.gain("S-16", 0.3, "C1+G2", 28.3);
    claims.gain("S-16", 0.3, "C1+G1", 31);
    claims.gain("M-8", 0.6, "C1+G4", -9);
    claims.gain("M-8", 0.6, "C1+G2", 15.9);
    claims.gain("M-8", 0.6, "C1+G1", 25.8);
    claims.growsWithSkew("S-8", LABELS_OF_8);
    claims.growsWithSkew("S-16", LABELS_OF_16);
    claims.growsWithSkew("M-8", LABELS_OF_8);
    claims.growsWithSkew("M-16", LABELS_OF_16);
    claims.fallsWithExpertSize();
    claims.growsWithBatch();
    claims.scaling("S-64", 8, 1.65);
    claims.scaling("S-64", 16, 3.08);
    claims.scaling("M-16", 8, 1.76);
    claims.scaling("M-16", 16, 3.36);
    return List.copyOf(claims.claims);
  }

  private OptionalDouble seconds(Predicate<SweepPoint> of) {
    return points.stream()
        .filter(of)
        .filter(point -> !Double.isNaN(point.seconds()))
        .mapToDouble(SweepPoint::seconds)
        .findFirst();
  }

  /** APTMoE's throughput over Mobius', in percent; NaN without both. */
  private double percent(String model, double skew, String topology, int batch) {
    Predicate<SweepPoint> here =
        point ->
            point.model().equals(model)
                && point.skew() == skew
                && point.topology().equals(topology)
                && point.gpus() == 4
                && point.batchSize() == batch;
    OptionalDouble mobius = seconds(here.and(point -> point.kind() == PipelineKind.MOBIUS));
    OptionalDouble ours = seconds(here.and(point -> point.kind() == PipelineKind.APTMOE));
    return mobius.isPresent() && ours.isPresent()
        ? 100 * (mobius.getAsDouble() / ours.getAsDouble() - 1)
        : Double.NaN;
  }

  /** The batch that the sweep ran a model with on 4 GPUs, the first if there are several. */
  private int batch(String model) {
    return points.stream()
        .filter(point -> point.model().equals(model) && point.gpus() == 4)
        .mapToInt(SweepPoint::batchSize)
        .findFirst()
        .orElse(0);
  }

  private void gain(String model, double skew, String topology, double paper) {
    double ours = percent(model, skew, topology, batch(model));
    if (!Double.isNaN(ours)) {
      add(
          "Gain over Mobius, %s, skew %s, %s".formatted(model, skew, topology),
          signed(paper),
          signed(ours),
          paper * ours > 0 && Math.abs(paper - ours) <= POINTS);
    }
  }

  private double[] gains(String model, List<Double> skews) {
    return skews.stream()
        .mapToDouble(skew -> percent(model, skew, "C1+G2", batch(model)))
        .filter(gain -> !Double.isNaN(gain))
        .toArray();
  }

  private void best(String model, double paper, List<Double> skews) {
    double[] gains = gains(model, skews);
    if (gains.length > 0) {
      double most = Arrays.stream(gains).max().orElseThrow();
      add(
          "Largest gain over Mobius, %s, C1+G2".formatted(model),
          signed(paper),
          signed(most),
          Math.abs(paper - most) <= POINTS);
    }
  }

  private void growsWithSkew(String model, List<Double> skews) {
    double[] gains = gains(model, skews);
    if (gains.length > 1) {
      boolean grows = true;
      StringBuilder shown = new StringBuilder();
      for (int i = 0; i < gains.length; i++) {
        grows &= i == 0 || gains[i] > gains[i - 1];
        shown.append(i == 0 ? "" : ", ").append(signed(gains[i]));
      }

      add("Gain over Mobius with the skew, %s".formatted(model), "grows", shown.toString(), grows);
    }
  }

  private void fallsWithExpertSize() {
    double[] gains = new double[3];
    String[] models = {"S-8", "M-8", "L-8"};
    for (int i = 0; i < gains.length; i++) {
      gains[i] = percent(models[i], 0.6, "C1+G2", batch(models[i]));
    }

    if (!Double.isNaN(gains[0] + gains[1] + gains[2])) {
      add(
          "Gain over Mobius with the expert's size, S-8, M-8, L-8, skew 0.6",
          "falls",
          "%s, %s, %s".formatted(signed(gains[0]), signed(gains[1]), signed(gains[2])),
          gains[0] > gains[1] && gains[1] > gains[2]);
    }
  }

  private void growsWithBatch() {
    int[] batches =
        points.stream()
            .filter(point -> point.model().equals("S-16") && point.gpus() == 4)
            .mapToInt(SweepPoint::batchSize)
            .distinct()
            .sorted()
            .toArray();
    if (batches.length > 1) {
      boolean grows = true;
      StringBuilder shown = new StringBuilder();
      double before = Double.NEGATIVE_INFINITY;
      for (int batch : batches) {
        double gain = percent("S-16", 0.3, "C1+G2", batch);
        grows &= gain > before;
        before = gain;
        shown.append(shown.isEmpty() ? "" : ", ").append(batch + ": " + signed(gain));
      }

      add("Gain over Mobius with the batch, S-16, skew 0.3", "grows", shown.toString(), grows);
    }
  }

  private void scaling(String model, int gpus, double paper) {
    Predicate<SweepPoint> ours =
        point -> point.model().equals(model) && point.kind() == PipelineKind.APTMOE;
    for (SweepPoint many : points) {
      if (!ours.test(many) || many.gpus() != gpus || Double.isNaN(many.seconds())) {
        continue;
      }

      OptionalDouble four =
          seconds(
              ours.and(
                  point ->
                      point.gpus() == 4
                          && point.skew() == many.skew()
                          && point.topology().equals(many.topology())
                          && point.batchSize() == many.batchSize()));
      if (four.isPresent()) {
        double speedup = four.getAsDouble() / many.seconds();
        add(
            "Speedup of %d GPUs over 4, %s, skew %s".formatted(gpus, model, many.skew()),
            String.format(Locale.ROOT, "%.2fx", paper),
            String.format(Locale.ROOT, "%.2fx", speedup),
            Math.abs(speedup / paper - 1) <= RELATIVE);
      }
    }
  }

  private static String signed(double percent) {
    return String.format(Locale.ROOT, "%+.1f %%", percent);
  }

  private void add(String text, String paper, String ours, boolean agrees) {
    claims.add(new Claim(text, paper, ours, agrees));
  }
}
