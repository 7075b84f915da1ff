package io.expertatlas.placement.report;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.report.AffinityPlots;
import io.expertatlas.affinity.report.HtmlReport;
import io.expertatlas.affinity.report.HtmlReport.Fact;
import io.expertatlas.affinity.report.TransitionPanels;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.Topology;
import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/** The page that {@code evaluate} writes: what a trace pays under each of several placements. */
public final class PlacementReport {
  private PlacementReport() {}

  /**
   * Builds the page. The first placement is what the others are compared with.
   *
   * @param trace what the trace is called, with the part of it that was replayed
   * @param counts the routes of that part
   * @param placements at least one, all for the same cluster
   * @throws IllegalArgumentException if there is none
   */
  public static HtmlReport of(String trace, RouteCounts counts, List<ScoredPlacement> placements) {
    if (placements.isEmpty()) {
      throw new IllegalArgumentException("Cannot report on placements: there is none");
    }

    ModelShape shape = counts.shape();
    ScoredPlacement reference = placements.get(0);
    ScoredPlacement best =
        placements.stream().min(Comparator.comparingLong(scored -> scored.cost().hops())).get();
    boolean nodes = reference.placement().topology().nodes() > 1;
    HtmlReport page =
        HtmlReport.titled(
            "What tokens pay to reach their experts",
            "Every token of the %s, replayed under %s on %s."
                .formatted(trace, number(placements), words(reference.placement().topology())));
    page.facts(
        List.of(
            new Fact("Tokens", "%,d".formatted(counts.tokens())),
            new Fact(
                "MoE layers \u00d7 experts",
                "%d \u00d7 %d".formatted(shape.layers(), shape.experts())),
            new Fact(
                "Hops a token, " + reference.name(), fixed(reference.cost().hopsPerToken(), 2)),
            new Fact("Hops a token, " + best.name(), fixed(best.cost().hopsPerToken(), 2)),
            new Fact("Fewer hops", saved(reference.cost(), best.cost()))));
    page.section(
            "Cost of each placement",
            "A token that stays where its last expert ran pays a hop for every change of GPU from"
                + " layer to layer, 1 inside a node and 2 across nodes. A token that returns home"
                + " after every layer pays for the distinct GPUs that its experts are on. The"
                + " busiest GPU makes the others wait. The three are different costs: which one"
                + " counts depends on the engine.")
        .plot(
            "hops",
            "Changes of GPU that a token makes on its way through all layers, on average.",
            CostPlots.hopsHeight(placements),
            CostPlots.hops(placements))
        .table(
            "Costs, means over all tokens. Hops and crossings: a token through all layers. GPUs and"
                + " nodes: distinct ones that hold a token's experts in a layer.",
            header(nodes),
            rows(placements, nodes));
    if (shape.layers() > 1) {
      flows(page, counts, reference, best);
    }

    page.section(
            "Load of the GPUs",
            "All %d choices of every token count. 1\u00d7 is an even load; few hops often mean"
                    .formatted(shape.topK())
                + " that popular experts share a GPU.")
        .plot(
            "gpu-load",
            "Choices that land on the busiest GPU of each layer, over the mean of its GPUs.",
            320,
            CostPlots.load(placements));
    page.section(
            "Popularity",
            "How many choices each expert got, at any rank, against an even split. Orange experts"
                + " are busier than even, blue ones idler; the scale goes by doublings.")
        .plot(
            "popularity",
            "Choices over the even share, by layer and expert.",
            AffinityPlots.popularityHeight(shape),
            AffinityPlots.popularity(counts.popularity()));
    if (shape.layers() > 1) {
      TransitionPanels panels = TransitionPanels.of(counts.transitions());
      page.section(
              "Affinity from layer to layer",
              "Each row is an expert, each column an expert of the next layer; the colour is the"
                  + " share of the row's tokens that go there. Bright pairs belong on one GPU.")
          .plot(
              "transitions",
              "P(next expert | this expert) of first choices.",
              panels.height(),
              panels.option());
    }

    return page;
  }

  private static void flows(
      HtmlReport page, RouteCounts counts, ScoredPlacement reference, ScoredPlacement best) {
    page.section(
        "Flow between GPUs",
        "Where tokens go from layer to layer, following their first choices. Coloured bands stay on"
            + " their GPU, grey bands cross to another.");
    flow(page, "flow-before", counts, reference);
    if (best != reference) {
      flow(page, "flow-after", counts, best);
    }
  }

  private static void flow(HtmlReport page, String id, RouteCounts counts, ScoredPlacement scored) {
    ExpertFlow flow = ExpertFlow.of(counts.transitions(), scored.placement());
    page.plot(
        id,
        "%s: %s %% of the steps stay on their GPU%s."
            .formatted(
                scored.name(),
                fixed(100 * flow.stayShare(), 1),
                flow.isExact() ? "" : ", estimated from pairs of experts, as some have copies"),
        FlowPlot.height(flow),
        FlowPlot.of(flow));
  }

  private static List<String> header(boolean nodes) {
    List<String> header = new ArrayList<>(List.of("Placement", "Hops", "Against the first"));
    if (nodes) {
      header.addAll(List.of("Crossings", "Across nodes"));
    }

    header.add("GPUs / layer");
    if (nodes) {
      header.add("Nodes / layer");
    }

    header.addAll(List.of("Load max / mean", "Worst layer", "Equal experts"));
    return header;
  }

  private static List<List<String>> rows(List<ScoredPlacement> placements, boolean nodes) {
    List<List<String>> rows = new ArrayList<>();
    PlacementCost reference = placements.get(0).cost();
    for (ScoredPlacement scored : placements) {
      PlacementCost cost = scored.cost();
      List<String> row = new ArrayList<>();
      row.add(scored.name());
      row.add(fixed(cost.hopsPerToken(), 3));
      row.add(change(reference, cost));
      if (nodes) {
        row.add(fixed(cost.crossingsPerToken(), 3));
        row.add(fixed(cost.interNodePerToken(), 3));
      }

      row.add(fixed(cost.gpusPerToken(), 3));
      if (nodes) {
        row.add(fixed(cost.nodesPerToken(), 3));
      }

      row.add(fixed(cost.loadMeanMaxOverMean(), 2));
      row.add(fixed(cost.loadWorstMaxOverMean(), 2));
      row.add(cost.balanced() ? "yes" : "no");
      rows.add(row);
    }

    return rows;
  }

  private static String change(PlacementCost reference, PlacementCost cost) {
    return reference.hops() == 0
        ? ""
        : String.format(
            Locale.ROOT, "%+.1f %%", 100.0 * (cost.hops() - reference.hops()) / reference.hops());
  }

  private static String saved(PlacementCost reference, PlacementCost cost) {
    return reference.hops() == 0
        ? "0 %"
        : fixed(100.0 * (reference.hops() - cost.hops()) / reference.hops(), 1) + " %";
  }

  private static String number(List<ScoredPlacement> placements) {
    return placements.size() == 1 ? "one placement" : placements.size() + " placements";
  }

  private static String words(Topology topology) {
    if (!topology.hasEqualNodes()) {
      return "%d GPUs in %d unequal nodes".formatted(topology.gpus(), topology.nodes());
    }

    return topology.nodes() == 1
        ? "%d GPUs of one node".formatted(topology.gpus())
        : "%d nodes of %d GPUs".formatted(topology.nodes(), topology.gpusPerNode());
  }

  private static String fixed(double value, int decimals) {
    return String.format(Locale.ROOT, "%,." + decimals + "f", value);
  }
}
