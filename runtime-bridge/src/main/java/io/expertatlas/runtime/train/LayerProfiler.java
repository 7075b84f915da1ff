package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.LayerShape;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.LookupTable.Curve;
import io.expertatlas.runtime.pipeline.TokenCurve;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * Times what a pipeline does with a model's first layer, with the code that trains it: an expert
 * for token counts from 1 to a micro-batch's on both sides, attention with norms and gate, loads,
 * stores, activations there and back, the ends of the model, and the optimizer.
 *
 * <p>Experts take turns, so that their weights are no warmer in caches than in a step. Weights stay
 * as they are; gradients and moments do not.
 */
public final class LayerProfiler {
  /** Measurements that the observer is told of. */
  public static final int MEASUREMENTS =
      8 + Piece.values().length; // the step, curves of six kinds, loads, and pieces

  private static final int TURNS = 4; // experts that take turns
  private static final long UNCACHED_BYTES = 512L << 20; // more than caches hold
  private static final int MOST_LAYERS = 64;
  private static final long MOVED = 32 << 20; // numbers of a thread of the optimizer

  private final TrainableModel model;
  private final Backend backend;
  private final MatrixDevice device;
  private final MatrixDevice cpu;
  private final ProfileSettings settings;
  private final Consumer<String> observer;
  private final Stopwatch watch;
  private final BlockTimes times;
  private final Layer layer;
  private final List<Block> turns;
  private final Map<Curve, TokenCurve> curves = new EnumMap<>(Curve.class);
  private final Map<Piece, double[]> pieces = new EnumMap<>(Piece.class);

  private LayerProfiler(
      TrainableModel model, Backend backend, ProfileSettings settings, Consumer<String> observer) {
    this.model = model;
    this.backend = backend;
    this.device = backend.devices().get(0);
    this.cpu = backend.cpu();
    this.settings = settings;
    this.observer = observer;
    this.watch = new Stopwatch(settings.samples());
    this.times = new BlockTimes(device, watch);
    this.layer = model.layers().get(0);
    this.turns = layer.experts().subList(0, Math.min(TURNS, layer.experts().size()));
  }

  /**
   * Profiles a model's first layer. Its gradients and moments are overwritten.
   *
   * @param model of one layer, so that nothing else takes memory
   * @param backend whose first device is profiled, and whose CPU
   * @param observer is told what is measured next, {@link #MEASUREMENTS} times
   */
  public static LookupTable profile(
      TrainableModel model, Backend backend, ProfileSettings settings, Consumer<String> observer)
      throws InterruptedException {
    return new LayerProfiler(model, backend, settings, observer).profile();
  }

  private LookupTable profile() throws InterruptedException {
    backend.useThreads(settings.cpuThreads());
    observer.accept("a layer's step");
    final long peak = peakBytes();
    try (ProfileCopies copies = ProfileCopies.beside(device, cpu)) {
      FewRows.warmUp(model, turns, copies, settings.tokens());
      experts(
          "experts on the CPU",
          copies,
          List.of(Curve.CPU_FORWARD, Curve.CPU_AGAIN, Curve.CPU_BACKWARD));
    }

    try (ProfileCopies copies = new ProfileCopies(device, turns)) {
      experts(
          "experts on the device",
          copies,
          List.of(Curve.GPU_FORWARD, Curve.GPU_AGAIN, Curve.GPU_BACKWARD));
    }

    activations();
    attention();
    ends();
    observer.accept("loads");
    final double[] loadExpert = times.load(turns);
    final double[] loadAttention = times.load(List.of(layer.attention()));
    final double[] loadGate = times.load(List.of(layer.gate()));
    piece(Piece.LOAD_BESIDE_CPU, this::loadsBesideCpu);
    piece(Piece.LOAD_EMBEDDING, () -> times.load(List.of(model.embedding())));
    piece(Piece.LOAD_HEAD, () -> times.load(List.of(model.head())));
    piece(Piece.STORE_EXPERT, () -> times.store(device, turns));
    piece(Piece.STORE_ATTENTION, () -> times.store(device, List.of(layer.attention())));
    piece(Piece.STORE_GATE, () -> times.store(device, List.of(layer.gate())));
    piece(Piece.STORE_EMBEDDING, () -> times.store(device, List.of(model.embedding())));
    piece(Piece.STORE_HEAD, () -> times.store(device, List.of(model.head())));
    piece(Piece.CLEAR_EXPERT, () -> times.clear(device, turns, true));
    piece(Piece.CLEAR_ATTENTION, () -> times.clear(device, List.of(layer.attention()), true));
    piece(Piece.CLEAR_GATE, () -> times.clear(device, List.of(layer.gate()), true));
    piece(Piece.CLEAR_EMBEDDING, () -> times.clear(device, List.of(model.embedding()), false));
    piece(Piece.CLEAR_HEAD, () -> times.clear(device, List.of(model.head()), true));
    piece(Piece.CLEAR_CPU_EXPERT, () -> times.clear(cpu, turns, false));
    piece(Piece.STORE_CPU_EXPERT, () -> times.store(cpu, turns));
    List<Parameter> moved = moved();
    piece(Piece.OPTIMIZER, () -> times.optimizer(moved));
    int experts = layer.experts().size();
    Parameter inner = turns.get(0).parameters().get(0); // [F, H]
    return new LookupTable(
        settings.name(),
        new LookupTable.Machine(
            settings.machine(), settings.cpuThreads(), device == cpu ? "cpu" : "cuda"),
        new LayerShape(
            model.hidden(), inner.rows(), layer.math().innerMatrices() + 1, device.numberBytes()),
        loadExpert,
        loadAttention,
        new TreeMap<>(Map.of(experts, loadGate)),
        curves,
        Optional.of(
            new TrainingProfile(
                new TrainingProfile.Sizes(
                    experts,
                    settings.topK(),
                    layer.heads().heads(),
                    model.vocabulary(),
                    settings.tokens(),
                    settings.sequenceLength(),
                    peak,
                    elements(moved)),
                pieces)));
  }

  /** Weights, gradients and activations of the layer's step, as counted there or reserved. */
  @SuppressWarnings("try") // scopes are there to be closed
  private long peakBytes() throws InterruptedException {
    List<Block> all = new ArrayList<>(layer.experts());
    all.add(layer.attention());
    all.add(layer.gate());
    int tokens = settings.tokens();
    int length = settings.sequenceLength();
    try (ProfileCopies copies = new ProfileCopies(device, all);
        MatrixDevice.Scope scope = device.scope()) {
      Matrix x = random(device, tokens, model.hidden());
      ExpertRunner runner = ExpertRunner.inOrder(copies);
      Layer.Tape tape = layer.forward(x, length, copies, runner);
      layer.backward(tape, length, random(device, tokens, model.hidden()), copies, runner);
      device.synchronize();
    }

    long counted = device.peakBytes();
    long weights = all.stream().mapToLong(block -> block.copyBytes(device)).sum();
    return counted > 0
        ? counted
        : 2 * weights
            + new Stage(model, 0, 1).tapeBytes(tokens, length, Stage.Keep.REDUCED, device);
  }

  /**
   * What the optimizer moves at once: in a step it passes over all layers, so that none of it is in
   * a cache when it comes again. Of a small layer there are as many as take so much memory. They
   * are moved several times in a row where threads are many: what it takes until all are at work,
   * and all have ended, is little of a step.
   */
  private List<Parameter> moved() {
    List<Parameter> once = new ArrayList<>(model.parameters());
    for (int i = layersMoved(model.size()); i > 1; i--) {
      model.parameters().forEach(parameter -> once.add(parameter.blank()));
    }

    long wanted = MOVED * HostWork.THREADS;
    long passes = (wanted + elements(once) - 1) / elements(once);
    int most = MOST_LAYERS / layersMoved(model.size());
    return Collections.nCopies((int) Math.min(passes, most), once).stream()
        .flatMap(List::stream)
        .toList();
  }

  private static long elements(List<Parameter> parameters) {
    return parameters.stream().mapToLong(Parameter::elements).sum();
  }

  private static int layersMoved(long size) {
    return (int) Math.min(MOST_LAYERS, Math.max(1, UNCACHED_BYTES / Parameter.BYTES / size));
  }

  /** Numbers of the host that a profile of a model of one layer and so many numbers needs. */
  public static long parameters(long size) {
    return layersMoved(size) * size;
  }

  /** Numbers from -0.5 to 0.5, always the same. */
  static Matrix random(MatrixDevice device, int rows, int columns) {
    SplittableRandom random = new SplittableRandom(1);
    double[] values = new double[Math.multiplyExact(rows, columns)];
    Arrays.setAll(values, i -> random.nextDouble() - 0.5);
    return device.of(rows, columns, values);
  }

  /** 1, 2, 4 ... and the last. */
  static int[] grid(int last) {
    int points = 32 - Integer.numberOfLeadingZeros(last);
    boolean isPower = Integer.bitCount(last) == 1;
    int[] grid = new int[isPower ? points : points + 1];
    for (int i = 0; i < points; i++) {
      grid[i] = 1 << i;
    }

    grid[grid.length - 1] = last;
    return grid;
  }

  /** As many of the CPU's experts at a time as in a step, each time others. */
  private double[] loadsBesideCpu() throws InterruptedException {
    List<Block> experts = layer.experts();
    int workers =
        Math.min(experts.size(), PipelineExecutor.workers(backend, settings.cpuThreads()));
    AtomicBoolean isDone = new AtomicBoolean();
    ExecutorService beside = Executors.newFixedThreadPool(workers);
    try {
      List<Future<?>> computing = new ArrayList<>();
      for (int worker = 0; worker < workers; worker++) {
        List<Block> own =
            IntStream.iterate(worker, i -> i < experts.size(), i -> i + workers)
                .mapToObj(experts::get)
                .toList();
        computing.add(beside.submit(() -> computeUntil(isDone, own)));
      }

      double[] nanos = times.load(turns);
      isDone.set(true);
      for (Future<?> one : computing) {
        one.get();
      }

      return nanos;
    } catch (ExecutionException e) {
      throw new IllegalStateException(
          "an expert failed on the CPU: " + e.getCause().getMessage(), e.getCause());
    } finally {
      isDone.set(true);
      beside.shutdown();
    }
  }

  private Void computeUntil(AtomicBoolean isDone, List<Block> experts) throws InterruptedException {
    try (ProfileCopies copies = ProfileCopies.beside(device, cpu)) {
      FewRows.compute(model, experts, copies, settings.tokens(), () -> !isDone.get());
      return null;
    }
  }

  /**
   * Times experts.
   *
   * @param into curves of forward, again and backward
   */
  @SuppressWarnings("try") // scopes are there to be closed
  private void experts(String what, ProfileCopies copies, List<Curve> into)
      throws InterruptedException {
    observer.accept(what);
    MatrixDevice where = copies.device();
    int[] grid = grid(settings.tokens());
    double[][][] nanos = new double[into.size()][grid.length][];
    ExpertMath math = layer.math();
    for (Block expert : turns) {
      expert.parameters().forEach(copies::gradient); // that of a micro-batch before
    }

    for (int point = 0; point < grid.length; point++) {
      try (MatrixDevice.Scope scope = where.scope()) {
        Matrix x = random(where, grid[point], model.hidden());
        ExpertMath.Tape tape = math.inner(x, turns.get(0).parameters(), copies);
        List<Stopwatch.Work> works =
            List.of(
                i -> math.output(math.inner(x, turn(i), copies), turn(i), copies),
                i -> math.inner(x, turn(i), copies),
                i -> math.backward(tape, x, turn(i), copies));
        for (int pass = 0; pass < nanos.length; pass++) {
          nanos[pass][point] = watch.time(where, works.get(pass));
        }
      }
    }

    put(into, grid, nanos);
  }

  private void put(List<Curve> into, int[] counts, double[][][] nanos) {
    for (int pass = 0; pass < nanos.length; pass++) {
      curves.put(into.get(pass), TokenCurve.of(counts, nanos[pass]));
    }
  }

  private List<Parameter> turn(int i) {
    return turns.get(i % turns.size()).parameters();
  }

  @SuppressWarnings("try") // scopes are there to be closed
  private void activations() throws InterruptedException {
    observer.accept("activations");
    int[] grid = grid(settings.tokens());
    double[][] there = new double[grid.length][];
    double[][] back = new double[grid.length][];
    for (int point = 0; point < grid.length; point++) {
      try (MatrixDevice.Scope scope = device.scope();
          MatrixDevice.Scope beside = cpu.scope()) {
        Matrix here = random(device, grid[point], model.hidden());
        Matrix host = random(cpu, grid[point], model.hidden());
        there[point] = watch.time(device, i -> cpu.take(here));
        back[point] = watch.time(device, i -> device.take(host));
      }
    }

    curves.put(Curve.COPY_ACTIVATION, TokenCurve.of(grid, there));
    curves.put(Curve.RETURN_ACTIVATION, TokenCurve.of(grid, back));
  }

  /** A quarter, half and all of a micro-batch's sequences, as far as they are whole ones. */
  private int[] sequences() {
    int most = settings.sequences();
    return Arrays.stream(new int[] {most / 4, most / 2, most})
        .filter(sequences -> sequences > 0)
        .distinct()
        .map(sequences -> sequences * settings.sequenceLength())
        .toArray();
  }

  /** Experts that give back what they were given, and numbers that are there. */
  private static ExpertRunner passing(Matrix[] along) {
    return (number, counts, pass, work) ->
        () -> {
          for (int expert = 0; expert < counts.length; expert++) {
            if (counts[expert] > 0) {
              List<Integer> one = List.of(expert);
              Matrix rows = work.inputsHere(expert).get(0);
              work.outputs(
                  one,
                  pass == ExpertRunner.Pass.FORWARD ? List.of(rows) : List.of(rows, along[expert]));
            }
          }

          return new boolean[counts.length];
        };
  }

  private void attention() throws InterruptedException {
    observer.accept("attention");
    int length = settings.sequenceLength();
    passes(
        List.of(Curve.ATTENTION_FORWARD, Curve.ATTENTION_AGAIN, Curve.ATTENTION_BACKWARD),
        List.of(layer.attention(), layer.gate()),
        (tokens, copies) -> {
          Matrix x = random(device, tokens, model.hidden());
          Matrix[] along = new Matrix[layer.experts().size()];
          ExpertRunner passing = passing(along);
          Layer.Tape tape = layer.forward(x, length, copies, passing);
          Arrays.setAll(along, expert -> random(device, tape.moe().routing().counts()[expert], 1));
          return List.of(
              i -> layer.forward(x, length, copies, passing),
              i -> layer.attend(x, length, copies),
              i -> layer.backward(tape, length, x, copies, passing));
        });
  }

  private void ends() throws InterruptedException {
    int length = settings.sequenceLength();
    observer.accept("embedding");
    passes(
        List.of(Curve.EMBED_FORWARD, Curve.EMBED_BACKWARD),
        List.of(model.embedding()),
        (tokens, copies) -> {
          int[] ids = ids(tokens);
          Matrix gradient = random(device, tokens, model.hidden());
          return List.of(
              i -> model.embed(ids, length, copies),
              i -> model.embedBackward(ids, gradient, copies));
        });
    observer.accept("head");
    passes(
        List.of(Curve.HEAD_FORWARD, Curve.HEAD_BACKWARD),
        List.of(model.head()),
        (tokens, copies) -> {
          int[] next = ids(tokens);
          Matrix x = random(device, tokens, model.hidden());
          Matrix logits = model.logits(x, copies);
          logits.crossEntropy(next, 1.0 / tokens);
          return List.of(
              i -> model.logits(x, copies).crossEntropy(next, 1.0 / tokens),
              i -> model.logitsBackward(x, logits, copies));
        });
  }

  private int[] ids(int tokens) {
    return new SplittableRandom(2).ints(tokens, 0, model.vocabulary()).toArray();
  }

  private interface Passes {
    /** What is timed, of so many tokens. */
    List<Stopwatch.Work> of(int tokens, Copies copies) throws InterruptedException;
  }

  @SuppressWarnings("try") // scopes are there to be closed
  private void passes(List<Curve> into, List<Block> blocks, Passes passes)
      throws InterruptedException {
    int[] counts = sequences();
    double[][][] nanos = new double[into.size()][counts.length][];
    try (ProfileCopies copies = new ProfileCopies(device, blocks)) {
      for (int point = 0; point < counts.length; point++) {
        try (MatrixDevice.Scope scope = device.scope()) {
          List<Stopwatch.Work> works = passes.of(counts[point], copies);
          for (int pass = 0; pass < works.size(); pass++) {
            nanos[pass][point] = watch.time(device, works.get(pass));
          }
        }
      }
    }

    put(into, counts, nanos);
  }

  private interface Sampler {
    double[] samples() throws InterruptedException;
  }

  private void piece(Piece piece, Sampler sampler) throws InterruptedException {
    observer.accept(piece.name().toLowerCase(Locale.ROOT).replace('_', ' '));
    pieces.put(piece, sampler.samples());
  }
}
