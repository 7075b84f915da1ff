package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.cli.MoveOptions.Terms;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;

/**
 * Policies beside each other.
 *
 * @param policies the first never moves, the last knows each window
 * @param terms of a hop and an expert
 * @param tokens scored
 * @param window selected tokens of a window
 * @param history windows that each decision looked back on
 */
record WindowsReport(
    List<WindowPolicy> policies, Terms terms, long tokens, int window, int history, long seed) {
  private static final int FORMAT_VERSION = 1;

  /** Prints the table. */
  void print(PrintWriter err) {
    err.printf(
        Locale.ROOT,
        "%d windows of %,d tokens after the first; a hop sends %,d bytes, an expert is %,d bytes%n",
        policies.get(0).hopsByWindow().size(),
        window,
        terms.hopBytes(),
        terms.expertBytes());
    err.printf(
        "%-22s  %9s %9s  %8s %9s  %11s %9s%n",
        "policy", "hops/tok", "gain", "moved", "moves, GB", "all, GB", "saved");
    double stay = policies.get(0).bytes(terms);
    for (WindowPolicy policy : policies) {
      boolean oracle = policy == policies.get(policies.size() - 1);
      err.printf(
          Locale.ROOT,
          "%-22s  %9.4f %+7.1f %%  %8s %9s  %11s %9s%n",
          policy.name(),
          policy.hops() / tokens,
          policies.get(0).hops() == 0 ? 0 : 100 * (1 - policy.hops() / policies.get(0).hops()),
          oracle ? "-" : Long.toString(policy.moved()),
          oracle ? "-" : fixed(policy.moved() * (double) terms.expertBytes() / 1e9),
          oracle ? "-" : fixed(policy.bytes(terms) / 1e9),
          oracle || stay == 0
              ? "-"
              : String.format(Locale.ROOT, "%+.1f %%", 100 * (1 - policy.bytes(terms) / stay)));
    }

    err.flush();
  }

  private static String fixed(double value) {
    return String.format(Locale.ROOT, "%.3f", value);
  }

  /** The file windows.json. */
  ObjectNode node() {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("format-version", FORMAT_VERSION);
    root.put("window", window);
    root.put("history", history);
    root.put("horizon", terms.horizon());
    root.put("expert-bytes", terms.expertBytes());
    root.put("hop-bytes", terms.hopBytes());
    root.put("seed", seed);
    root.put("tokens", tokens);
    ArrayNode list = root.putArray("policies");
    for (WindowPolicy policy : policies) {
      ObjectNode one = list.addObject();
      one.put("policy", policy.name());
      policy.terms().ifPresent(own -> one.put("min-gain", own.minGain()));
      one.put("hops", policy.hops() / tokens);
      one.put("moved", policy.moved());
      one.put("bytes", policy.bytes(terms));
      ArrayNode hops = one.putArray("hops-by-window");
      policy.hopsByWindow().forEach(hops::add);
      ArrayNode moved = one.putArray("moved-before-window");
      policy.movedBeforeWindow().forEach(moved::add);
    }

    return root;
  }
}
