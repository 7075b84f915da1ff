package io.expertatlas.affinity.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.Transitions;

/**
 * Heat maps of P(next expert | this expert), one for each pair of adjacent layers, or as many,
 * evenly spread over the model, as stay legible. Layers of more than 64 experts are shown in square
 * blocks of experts: a block shows the strongest of its pairs.
 */
public final class TransitionPanels {
  private static final int MAX_CELLS = 64; // a side
  private static final int MAX_POINTS = 40_000;
  private static final int MAX_PANELS = 24;
  private static final int COLUMNS = 4;
  private static final double RARE = 10; // times fewer tokens than an even share
  private static final int TITLE = 26; // pixels
  private static final int BOTTOM = 86;

  private final Transitions transitions;
  private final int block; // experts a cell, each way
  private final int cells; // a side
  private final int panels;
  private final int columns;
  private final int side; // pixels
  private final double[] strongest; // [panel cell], scratch

  private TransitionPanels(Transitions transitions) {
    this.transitions = transitions;
    int experts = transitions.shape().experts();
    block = (experts + MAX_CELLS - 1) / MAX_CELLS;
    cells = (experts + block - 1) / block;
    int affordable = Math.max(1, MAX_POINTS / (cells * cells));
    panels = Math.min(transitions.gaps(), Math.min(MAX_PANELS, affordable));
    columns = Math.min(COLUMNS, Math.max(1, panels));
    side = columns == 1 ? 420 : columns == 2 ? 380 : 250;
    strongest = new double[cells * cells];
  }

  /** The panels of some transitions, of at least one gap. */
  public static TransitionPanels of(Transitions transitions) {
    if (transitions.gaps() == 0) {
      throw new IllegalArgumentException("Cannot plot transitions: the model has one MoE layer");
    }

    return new TransitionPanels(transitions);
  }

  /** Number of gaps shown. */
  public int panels() {
    return panels;
  }

  /** Experts a cell, each way. */
  public int block() {
    return block;
  }

  /** Height in pixels that the option wants. */
  public int height() {
    return rows() * (side + TITLE) + BOTTOM;
  }

  private int rows() {
    return (panels + columns - 1) / columns;
  }

  private int gap(int panel) {
    return panels == 1 ? 0 : (int) ((long) panel * (transitions.gaps() - 1) / (panels - 1));
  }

  /** The ECharts option. */
  public ObjectNode option() {
    ObjectNode option = Options.object();
    option
        .putObject("tooltip")
        .put(
            "formatter",
            "@Layer {seriesName}\nExpert {value.3} \u2192 expert {value.4}\n"
                + "<b>{value.2:pct}</b> of its tokens ({value.5:int})");
    double max = 0.05;
    ArrayNode series = option.putArray("series");
    ArrayNode grids = option.putArray("grid");
    ArrayNode titles = option.putArray("title");
    ArrayNode x = option.putArray("xAxis");
    ArrayNode y = option.putArray("yAxis");
    for (int panel = 0; panel < panels; panel++) {
      int gap = gap(panel);
      max = Math.max(max, addCells(series, panel, gap));
      int row = panel / columns;
      String left = "%.2f%%".formatted(4.5 + panel % columns * (95.5 / columns));
      int top = row * (side + TITLE) + TITLE;
      grids
          .addObject()
          .put("left", left)
          .put("top", top)
          .put("width", "%.2f%%".formatted(95.5 / columns - 2.2))
          .put("height", side - 14);
      titles
          .addObject()
          .put("text", "Layer %d \u2192 %d".formatted(gap, gap + 1))
          .put("left", left)
          .put("top", top - 22)
          .put("padding", 0);
      boolean lowest = panel + columns >= panels;
      x.add(axis(panel, lowest, lowest ? "Next expert" : "").put("nameGap", 26));
      boolean leftmost = panel % columns == 0;
      y.add(
          axis(panel, leftmost, leftmost ? "This expert" : "")
              .put("inverse", true)
              .put("nameGap", 32));
    }

    ObjectNode colours =
        AffinityPlots.colours(0, Math.ceil(max * 20) / 20, "$sequential", "@{value:pct0}");
    option.set("visualMap", colours);
    return option;
  }

  private ObjectNode axis(int panel, boolean labelled, String name) {
    ObjectNode axis = Options.counted(name, cells);
    axis.put("gridIndex", panel);
    axis.putObject("axisTick").put("show", false);
    axis.putObject("axisLine").put("show", false);
    axis.putObject("axisLabel").put("show", labelled).put("fontSize", 11);
    if (block > 1) {
      ArrayNode names = axis.putArray("data");
      for (int cell = 0; cell < cells; cell++) {
        names.add(Integer.toString(cell * block));
      }
    }

    return axis;
  }

  /**
   * Adds a panel's cells that hold tokens; returns the largest probability among experts that are
   * not rare: one token of a rare expert would stretch the scale to 100 %.
   */
  private double addCells(ArrayNode series, int panel, int gap) {
    int experts = transitions.shape().experts();
    java.util.Arrays.fill(strongest, 0);
    int[] from = new int[strongest.length];
    int[] to = new int[strongest.length];
    double max = 0;
    long tokens = 0;
    for (int e = 0; e < experts; e++) {
      for (int f = 0; f < experts; f++) {
        tokens += transitions.firstChoices(gap, e, f);
      }
    }

    for (int e = 0; e < experts; e++) {
      long leaving = 0;
      for (int f = 0; f < experts; f++) {
        leaving += transitions.firstChoices(gap, e, f);
      }

      for (int f = 0; f < experts && leaving > 0; f++) {
        double next = transitions.firstChoices(gap, e, f) / (double) leaving;
        int cell = e / block * cells + f / block;
        if (leaving * RARE * experts >= tokens) {
          max = Math.max(max, next);
        }

        if (next > strongest[cell]) {
          strongest[cell] = next;
          from[cell] = e;
          to[cell] = f;
        }
      }
    }

    ObjectNode one = series.addObject();
    one.put("type", "heatmap").put("name", "%d \u2192 %d".formatted(gap, gap + 1));
    one.put("xAxisIndex", panel).put("yAxisIndex", panel).put("progressive", 0);
    one.putObject("itemStyle").put("borderColor", "$card").put("borderWidth", cells > 16 ? 0 : 1);
    one.putObject("emphasis")
        .putObject("itemStyle")
        .put("borderColor", "$ink")
        .put("borderWidth", 1.5);
    ArrayNode data = one.putArray("data");
    for (int cell = 0; cell < strongest.length; cell++) {
      if (strongest[cell] > 0) {
        data.addArray()
            .add(cell % cells)
            .add(cell / cells)
            .add(Math.rint(strongest[cell] * 1e4) / 1e4)
            .add(from[cell])
            .add(to[cell])
            .add(transitions.firstChoices(gap, from[cell], to[cell]));
      }
    }

    return max;
  }
}
