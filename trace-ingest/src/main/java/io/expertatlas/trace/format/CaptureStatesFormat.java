package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Format {@code capture}, read with its router states: {@code hidden.npy} {@code [tokens, layers,
 * hidden]} and {@code logits.npy} {@code [tokens, layers, experts]}, either of which may be absent.
 */
public final class CaptureStatesFormat implements RouterStatesFormat {
  private static final String HIDDEN = "hidden.npy";
  private static final String LOGITS = "logits.npy";

  /** For {@link java.util.ServiceLoader}. */
  public CaptureStatesFormat() {}

  @Override
  public String name() {
    return "capture";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    Path folder = source.path();
    return Files.isRegularFile(folder.resolve(CaptureDescription.FILE))
        && (Files.exists(folder.resolve(HIDDEN)) || Files.exists(folder.resolve(LOGITS)));
  }

  @Override
  public RouterStatesReader open(TraceSource source, TokenRange range) {
    CaptureDescription capture = CaptureFormat.describe(source);
    List<AutoCloseable> opened = new ArrayList<>();
    try {
      return open(capture, range, opened);
    } catch (RuntimeException e) {
      Closing.quietly(opened);
      throw e;
    }
  }

  private static RouterStatesReader open(
      CaptureDescription capture, TokenRange range, List<AutoCloseable> opened) {
    Optional<NpyFile> hidden = states(capture, HIDDEN, "hidden states", opened);
    Optional<NpyFile> logits = states(capture, LOGITS, "router logits", opened);
    if (hidden.isEmpty() && logits.isEmpty()) {
      throw new TraceFormatException(
          "Cannot read router states from capture %s: it names neither %s nor %s"
              .formatted(capture.path().getParent(), HIDDEN, LOGITS));
    }

    ModelShape shape = capture.shape();
    logits.ifPresent(
        file ->
            capture.check(
                file,
                LOGITS,
                List.of(capture.tokens(), (long) shape.layers(), (long) shape.experts())));
    int width = hidden.map(NpyFile::columns).orElse(0) + logits.map(NpyFile::columns).orElse(0);
    TraceReader routes =
        CaptureFormat.openRoutes(capture, range, StatesReader.batchTokens(Math.max(1, width)));
    opened.add(routes);
    return new StatesReader(
        capture.model(), routes, hidden, logits, Math.min(range.from(), capture.tokens()));
  }

  private static Optional<NpyFile> states(
      CaptureDescription capture, String name, String holds, List<AutoCloseable> opened) {
    Optional<NpyFile> file = capture.find(name).map(path -> NpyFile.open(path, holds));
    if (file.isEmpty()) {
      return file;
    }

    opened.add(file.get());
    if (file.get().type().isInteger()) {
      throw new TraceFormatException(
          "Cannot read %s from %s: its dtype is '%s' (%s), expected floating-point numbers"
              .formatted(
                  holds, file.get().path(), file.get().header().descr(), file.get().type().kind()));
    }

    List<Long> axes = file.get().header().shape();
    long last = axes.get(axes.size() - 1);
    if (last < 1) {
      throw new TraceFormatException(
          "Invalid shape %s of %s in %s: the last axis must not be empty"
              .formatted(file.get().header().shapeText(), holds, file.get().path()));
    }

    capture.check(
        file.get(), name, List.of(capture.tokens(), (long) capture.shape().layers(), last));
    return file;
  }

  /** Reads the states of the tokens that the routes' reader gives. */
  private static final class StatesReader implements RouterStatesReader {
    private static final int BATCH_VALUES = 1 << 22; // 16 MB

    private final String model;
    private final TraceReader routes;
    private final Optional<NpyFile> hidden;
    private final Optional<NpyFile> logits;
    private long next;

    StatesReader(
        String model,
        TraceReader routes,
        Optional<NpyFile> hidden,
        Optional<NpyFile> logits,
        long first) {
      this.model = model;
      this.routes = routes;
      this.hidden = hidden;
      this.logits = logits;
      this.next = first;
    }

    static int batchTokens(int valuesOfToken) {
      return Math.max(1, Math.min(DumpReader.BATCH_TOKENS, BATCH_VALUES / valuesOfToken));
    }

    @Override
    public String model() {
      return model;
    }

    @Override
    public ModelShape shape() {
      return routes.shape();
    }

    @Override
    public long tokens() {
      return routes.tokens();
    }

    @Override
    public int hiddenSize() {
      return hidden.map(file -> file.columns() / shape().layers()).orElse(0);
    }

    @Override
    public Scores scores() {
      return logits.isPresent() ? Scores.LOGITS : Scores.NONE;
    }

    @Override
    public Optional<RouterStates> next() {
      Optional<RoutingTrace> batch = routes.next();
      if (batch.isEmpty()) {
        return Optional.empty();
      }

      int tokens = batch.get().tokens();
      RouterStates states =
          RouterStates.of(
              batch.get(),
              hiddenSize(),
              read(hidden, tokens, "hidden state"),
              scores(),
              read(logits, tokens, "router logit"));
      next += tokens;
      return Optional.of(states);
    }

    private float[] read(Optional<NpyFile> file, int tokens, String what) {
      if (file.isEmpty()) {
        return new float[0];
      }

      int columns = file.get().columns();
      float[] values = new float[tokens * columns];
      file.get().readFloats(next, tokens, values);
      for (int i = 0; i < values.length; i++) {
        if (!Float.isFinite(values[i])) {
          int width = columns / shape().layers();
          throw new TraceFormatException(
              "Invalid %s %s in %s at token %d, layer %d, value %d: it must be finite"
                  .formatted(
                      what,
                      values[i],
                      file.get().path(),
                      next + i / columns,
                      i % columns / width,
                      i % width));
        }
      }

      return values;
    }

    @Override
    public void close() {
      List<AutoCloseable> all = new ArrayList<>(List.of(routes));
      hidden.ifPresent(all::add);
      logits.ifPresent(all::add);
      Closing.quietly(all);
    }
  }
}
