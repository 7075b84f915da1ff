package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.CountsMixture;
import io.expertatlas.affinity.RouteCounter;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.cli.MoveOptions.Terms;
import io.expertatlas.placement.format.ExFlowCsv;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.terminal.Terminal;
import io.expertatlas.trace.terminal.TraceOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * Replays a trace window by window and asks after each whether to move experts for the next, as a
 * serving engine could: nothing is known of a window before it has passed.
 */
@Command(
    name = "place-windows",
    description =
        "Changes the placement from window to window of a trace where that pays; what it gains, and"
            + " how many experts move.",
    mixinStandardHelpOptions = true)
final class WindowsCommand implements Callable<Integer> {
  private static final String FILE = "windows.json";
  private static final Pattern FILES = Pattern.compile("windows\\.json|window-\\d+\\.csv");
  private static final int FORMAT_VERSION = 1;

  @Spec private CommandSpec spec;
  @Mixin private TraceOptions trace;
  @Mixin private TopologyOptions cluster;
  @Mixin private ModelOptions model;
  @Mixin private MoveOptions move;

  @Option(
      names = "--window",
      required = true,
      paramLabel = "N",
      description = "Selected tokens of a window.")
  private int window;

  @Option(
      names = "--history",
      defaultValue = "1",
      paramLabel = "W",
      description = "Windows that each decision looks back on (default: ${DEFAULT-VALUE}).")
  private int history;

  @Option(
      names = "--min-gains",
      split = ",",
      defaultValue = "0.01,0,0.05,0.2",
      paramLabel = "G",
      description =
          "A policy for each: move if that saves this share of all bytes over the horizon. The"
              + " placements of the first are written (default: ${DEFAULT-VALUE}).")
  private List<Double> minGains;

  @Option(
      names = "--solver",
      defaultValue = "auto",
      converter = SolverConverter.class,
      paramLabel = "S",
      description = "Of the placement that each window would like (default: ${DEFAULT-VALUE}).")
  private PlacementSolver solver;

  @Option(
      names = "--time-limit",
      defaultValue = "5s",
      converter = DurationConverter.class,
      paramLabel = "T",
      description =
          "Of each window's solve, and once more of each policy's moves (default:"
              + " ${DEFAULT-VALUE}).")
  private Duration timeLimit;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Of everything random (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--threads",
      defaultValue = "1",
      paramLabel = "T",
      description = "Worker threads (default: ${DEFAULT-VALUE}).")
  private int threads;

  @Option(names = "--overwrite", description = "Replace the output folder if it exists.")
  private boolean overwrite;

  @Option(names = "--json", description = "Print windows.json to stdout.")
  private boolean json;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "D",
      description = "Folder to write: windows.json, and window-K.csv with the plan of window K.")
  private Path output;

  /** What a policy did. */
  private static final class Policy {
    private final String name;
    private final Optional<Terms> terms; // when it moves; empty: never
    private Placement plan;
    private double hops; // total over all tokens scored
    private long moved;
    private final List<Double> perWindow = new ArrayList<>();
    private final List<Long> movedBefore = new ArrayList<>();

    Policy(String name, Optional<Terms> terms) {
      this.name = name;
      this.terms = terms;
    }

    void score(RouteCounts counts, long movedNow) {
      PlacementCost cost = PlacementCost.of(counts, plan);
      hops += cost.hops();
      moved += movedNow;
      perWindow.add(cost.hopsPerToken());
      movedBefore.add(movedNow);
    }
  }

  @Override
  public Integer call() throws IOException {
    Topology topology = cluster.topology(spec);
    check();
    Terms base = move.terms(model.file(), window);
    OutputFolder folder = new OutputFolder(output, overwrite, "folder of windows", FILES);
    folder.check();
    List<Policy> policies = new ArrayList<>();
    for (double gain : minGains) {
      policies.add(
          new Policy(
              String.format(Locale.ROOT, "follow, gain %.3g", gain),
              Optional.of(
                  new Terms(
                      base.horizon(), base.expertBytes(), base.hopBytes(), gain, base.staging()))));
    }

    Policy stay = new Policy("stay", Optional.empty());
    Policy own = new Policy("own: knows the window", Optional.empty());
    List<Placement> plans = new ArrayList<>(); // of the first policy, from the second window on
    long[] tokens = new long[1];
    try (TraceReader reader = trace.open();
        ProgressBar bar = Terminal.progress("windows", reader.tokens())) {
      Windows windows = new Windows(reader, window);
      ArrayDeque<RouteCounts> seen = new ArrayDeque<>();
      Optional<Placement> best = Optional.empty();
      List<Long> moves = new ArrayList<>();
      for (Optional<RouteCounts> next = windows.next(); next.isPresent(); next = windows.next()) {
        RouteCounts counts = next.get();
        boolean isFirst = best.isEmpty();
        if (!isFirst) {
          tokens[0] += counts.tokens();
          plans.add(policies.get(0).plan);
          for (int i = 0; i < policies.size(); i++) {
            policies.get(i).score(counts, moves.get(i));
          }

          stay.score(counts, 0);
        }

        seen.add(counts);
        if (seen.size() > history) {
          seen.remove();
        }

        PlacementProblem problem =
            PlacementProblem.balanced(
                CountsMixture.sum(List.copyOf(seen)), topology, Objective.HOPS);
        if (!isFirst) {
          // what could be had at best: the window itself, all experts free to move
          own.plan = solved(problem.counts() == counts ? problem : like(problem, counts), best);
          own.score(counts, 0);
        }

        Placement wanted = solved(problem, best);
        best = Optional.of(wanted);
        moves.clear();
        for (Policy policy : policies) {
          Placement before = isFirst ? wanted : policy.plan;
          Moving moving =
              Moving.choose(problem, before, wanted, policy.terms.orElseThrow(), config());
          policy.plan = moving.chosen().placement();
          moves.add(moving.chosen().moved());
        }

        if (isFirst) {
          stay.plan = wanted;
        }

        bar.stepTo(windows.read());
      }
    }

    if (tokens[0] == 0) {
      throw new TraceFormatException(
          "Cannot follow windows of %d tokens in %s: it has fewer than two. Maybe take a shorter --window"
              .formatted(window, trace.source().path()));
    }

    List<Policy> all = new ArrayList<>(policies);
    all.add(0, stay);
    all.add(own);
    ObjectNode node = node(all, base, tokens[0]);
    folder.write(
        aside -> {
          Files.writeString(aside.resolve(FILE), node.toPrettyString() + "\n");
          for (int i = 0; i < plans.size(); i++) {
            ExFlowCsv.write(plans.get(i), aside.resolve("window-%d.csv".formatted(i + 1)));
          }
        });
    print(all, base, tokens[0]);
    if (json) {
      spec.commandLine().getOut().println(node);
      spec.commandLine().getOut().flush();
    }

    return 0;
  }

  private void check() {
    if (window < 1) {
      throw usage("Invalid --window: %d tokens, at least 1".formatted(window));
    }

    if (history < 1) {
      throw usage("Invalid --history: %d windows, at least 1".formatted(history));
    }

    if (threads < 1) {
      throw usage("Invalid number of threads: %d, at least 1".formatted(threads));
    }

    if (minGains.stream().anyMatch(gain -> !(gain >= 0 && gain < 1))) {
      throw usage("Invalid --min-gains: %s, each 0 to below 1".formatted(minGains));
    }
  }

  private static PlacementProblem like(PlacementProblem problem, RouteCounts counts) {
    return PlacementProblem.balanced(counts, problem.topology(), problem.objective());
  }

  private SolverConfig config() {
    return SolverConfig.DEFAULT.withTimeLimit(timeLimit).withSeed(seed).withThreads(threads);
  }

  private Placement solved(PlacementProblem problem, Optional<Placement> start) {
    SolverConfig config = start.isEmpty() ? config() : config().withWarmStart(start.get());
    SolverOutcome outcome = solver.solve(problem, config);
    return outcome
        .placement()
        .orElseThrow(
            () ->
                new IllegalStateException(
                    "Cannot place with %s: %s, %s"
                        .formatted(outcome.solver(), outcome.status().word(), outcome.note())));
  }

  private void print(List<Policy> policies, Terms terms, long tokens) {
    PrintWriter err = spec.commandLine().getErr();
    err.printf(
        Locale.ROOT,
        "%d windows of %,d tokens after the first; a hop sends %,d bytes, an expert is %,d bytes%n",
        policies.get(0).perWindow.size(),
        window,
        terms.hopBytes(),
        terms.expertBytes());
    err.printf(
        "%-22s  %9s %9s  %8s %9s  %11s %9s%n",
        "policy", "hops/tok", "gain", "moved", "moves, GB", "all, GB", "saved");
    double stay = bytes(policies.get(0), terms);
    for (Policy policy : policies) {
      boolean oracle = policy == policies.get(policies.size() - 1);
      err.printf(
          Locale.ROOT,
          "%-22s  %9.4f %+7.1f %%  %8s %9s  %11s %9s%n",
          policy.name,
          policy.hops / tokens,
          policies.get(0).hops == 0 ? 0 : 100 * (1 - policy.hops / policies.get(0).hops),
          oracle ? "-" : Long.toString(policy.moved),
          oracle ? "-" : fixed(policy.moved * (double) terms.expertBytes() / 1e9),
          oracle ? "-" : fixed(bytes(policy, terms) / 1e9),
          oracle || stay == 0
              ? "-"
              : String.format(Locale.ROOT, "%+.1f %%", 100 * (1 - bytes(policy, terms) / stay)));
    }

    err.flush();
  }

  private static String fixed(double value) {
    return String.format(Locale.ROOT, "%.3f", value);
  }

  private static double bytes(Policy policy, Terms terms) {
    return policy.hops * terms.hopBytes() + policy.moved * (double) terms.expertBytes();
  }

  private ObjectNode node(List<Policy> policies, Terms terms, long tokens) {
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
    for (Policy policy : policies) {
      ObjectNode one = list.addObject();
      one.put("policy", policy.name);
      policy.terms.ifPresent(own -> one.put("min-gain", own.minGain()));
      one.put("hops", policy.hops / tokens);
      one.put("moved", policy.moved);
      one.put("bytes", bytes(policy, terms));
      ArrayNode hops = one.putArray("hops-by-window");
      policy.perWindow.forEach(hops::add);
      ArrayNode moved = one.putArray("moved-before-window");
      policy.movedBefore.forEach(moved::add);
    }

    return root;
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  /** Cuts a trace into windows and counts each. */
  private static final class Windows {
    private final TraceReader reader;
    private final int length;
    private Optional<RoutingTrace> rest = Optional.empty();
    private long read;

    Windows(TraceReader reader, int length) {
      this.reader = reader;
      this.length = length;
    }

    long read() {
      return read;
    }

    /** The counts of the next window, the last maybe of fewer tokens; empty at the end. */
    Optional<RouteCounts> next() {
      RouteCounter counter = new RouteCounter(reader.shape());
      while (counter.tokens() < length) {
        Optional<RoutingTrace> batch = rest.isPresent() ? rest : reader.next();
        rest = Optional.empty();
        if (batch.isEmpty()) {
          break;
        }

        RoutingTrace trace = batch.get();
        int some = (int) Math.min(trace.tokens(), length - counter.tokens());
        counter.add(some == trace.tokens() ? trace : trace.slice(0, some));
        read += some;
        if (some < trace.tokens()) {
          rest = Optional.of(trace.slice(some, trace.tokens()));
        }
      }

      return counter.tokens() == 0 ? Optional.empty() : Optional.of(counter.counts());
    }
  }

  private static final class SolverConverter implements ITypeConverter<PlacementSolver> {
    @Override
    public PlacementSolver convert(String value) {
      return Terminal.option(() -> PlacementSolvers.find(value));
    }
  }
}
