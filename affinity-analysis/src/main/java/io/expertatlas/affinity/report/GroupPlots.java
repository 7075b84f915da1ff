package io.expertatlas.affinity.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.AnalysisPart;
import io.expertatlas.affinity.GroupDistance;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Heat maps of the distances between groups. Of more than 48 groups those with most tokens are
 * shown. Neighbours in the map are near each other: from the largest group on, each is followed by
 * the nearest one that is left.
 */
final class GroupPlots {
  private static final int MAX_GROUPS = 48;
  private static final int MAX_NAME = 28;

  private final List<AnalysisPart> groups;
  private final GroupDistance[][] pairs; // [group][other]
  private final List<Integer> order = new ArrayList<>();

  GroupPlots(List<AnalysisPart> groups, List<GroupDistance> distances) {
    this.groups = groups;
    pairs = new GroupDistance[groups.size()][groups.size()];
    for (GroupDistance distance : distances) {
      pairs[distance.group()][distance.other()] = distance;
      pairs[distance.other()][distance.group()] = distance;
    }

    List<Integer> left =
        new ArrayList<>(
            IntStream.range(0, groups.size())
                .boxed()
                .sorted(Comparator.comparingLong(group -> -groups.get(group).counts().tokens()))
                .limit(MAX_GROUPS)
                .toList());
    while (!left.isEmpty()) {
      int next = left.get(0);
      if (!order.isEmpty()) {
        int last = order.get(order.size() - 1);
        for (int candidate : left) {
          next =
              pairs[last][candidate].popularity() < pairs[last][next].popularity()
                  ? candidate
                  : next;
        }
      }

      order.add(next);
      left.remove(Integer.valueOf(next));
    }
  }

  String which() {
    return order.size() == groups.size()
        ? ""
        : " The %d groups with most tokens of %d.".formatted(order.size(), groups.size());
  }

  int height() {
    return 230 + order.size() * (order.size() <= 12 ? 30 : 17);
  }

  /** The nearest other group, or the group itself if there is none. */
  int nearest(int group) {
    int nearest = group;
    for (int other = 0; other < groups.size(); other++) {
      if (other != group
          && (nearest == group
              || pairs[group][other].popularity() < pairs[group][nearest].popularity())) {
        nearest = other;
      }
    }

    return nearest;
  }

  GroupDistance pair(int group, int other) {
    return pairs[group][other];
  }

  /** A heat map of one of the distances, and the noise that is in it. */
  ObjectNode heat(ToDoubleFunction<GroupDistance> value, ToDoubleFunction<GroupDistance> noise) {
    List<String> names = new ArrayList<>();
    for (int group : order) {
      String name = groups.get(group).name();
      names.add(name.length() <= MAX_NAME ? name : name.substring(0, MAX_NAME - 1) + "\u2026");
    }

    ObjectNode option = Options.object();
    option
        .putObject("tooltip")
        .put(
            "formatter",
            "@{value.3}\n{value.4}\nDistance <b>{value.2:pct}</b>, noise {value.5:pct}");
    option.putObject("grid").put("left", 190).put("right", 16).put("top", 8).put("bottom", 212);
    ObjectNode x = Options.names("", names);
    x.putObject("axisLabel").put("rotate", 55).put("interval", 0).put("fontSize", 11);
    withoutLine(x); // it would show through the empty diagonal only
    option.set("xAxis", x);
    ObjectNode y = Options.names("", names).put("inverse", true);
    y.putObject("axisLabel").put("interval", 0).put("fontSize", 11);
    withoutLine(y);
    option.set("yAxis", y);
    ObjectNode series = option.putArray("series").addObject();
    series.put("type", "heatmap").put("progressive", 0);
    series.putObject("itemStyle").put("borderColor", "$card").put("borderWidth", 1);
    ArrayNode data = series.putArray("data");
    double top = 0.05;
    for (int row = 0; row < order.size(); row++) {
      for (int column = 0; column < order.size(); column++) {
        if (row == column) {
          continue;
        }

        GroupDistance pair = pairs[order.get(row)][order.get(column)];
        top = Math.max(top, value.applyAsDouble(pair));
        data.addArray()
            .add(column)
            .add(row)
            .add(Options.rounded(value.applyAsDouble(pair)))
            .add(groups.get(order.get(row)).name())
            .add(groups.get(order.get(column)).name())
            .add(Options.rounded(noise.applyAsDouble(pair)));
      }
    }

    option.set(
        "visualMap",
        AffinityPlots.colours(0, Math.ceil(top * 20) / 20, "$sequential", "@{value:pct0}"));
    return option;
  }

  private static void withoutLine(ObjectNode axis) {
    axis.putObject("axisLine").put("show", false);
    axis.putObject("axisTick").put("show", false);
  }
}
