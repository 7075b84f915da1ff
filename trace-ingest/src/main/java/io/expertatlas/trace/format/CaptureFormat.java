package io.expertatlas.trace.format;

import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Format {@code capture}: the folder that {@code trace-ingest/capture} writes beside a running
 * model. {@code capture.json} describes the arrays: {@code experts.npy} and, if recorded, {@code
 * weights.npy} {@code [tokens, layers, k]}; {@code sequence.npy}, {@code position.npy}, {@code
 * phase.npy} {@code [tokens]}. Other arrays are not read here, but by {@link CaptureStatesFormat}.
 * Checksums are not verified: that would read the whole capture to use a part of it.
 */
public final class CaptureFormat implements TraceFormat {
  /** For {@link java.util.ServiceLoader}. */
  public CaptureFormat() {}

  @Override
  public String name() {
    return "capture";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return Files.isRegularFile(source.path().resolve(CaptureDescription.FILE));
  }

  @Override
  public boolean isSplittable(TraceSource source) {
    return Files.isRegularFile(source.path().resolve("experts.npy"));
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    CaptureDescription capture = describe(source);
    return openRoutes(capture, range, DumpReader.BATCH_TOKENS);
  }

  /** Reads the description, and checks that the source does not contradict it. */
  static CaptureDescription describe(TraceSource source) {
    CaptureDescription capture = CaptureDescription.read(source.path());
    if (source.sequences().isPresent() || source.positions().isPresent()) {
      throw new TraceFormatException(
          "Cannot use --sequence-file or --position-file with capture %s: it has its own"
              .formatted(source.path()));
    }

    int experts = capture.shape().experts();
    if (source.experts().orElse(experts) != experts) {
      throw new TraceFormatException(
          "Invalid number of experts: %d by --experts, %d by %s"
              .formatted(source.experts().getAsInt(), experts, capture.path()));
    }

    return capture;
  }

  /** Opens the routes of a capture, to be read at most {@code maxBatch} tokens at once. */
  static TraceReader openRoutes(CaptureDescription capture, TokenRange range, int maxBatch) {
    List<NpyFile> opened = new ArrayList<>();
    try {
      return open(capture, range, maxBatch, opened);
    } catch (RuntimeException e) {
      opened.forEach(NpyFile::close);
      throw e;
    }
  }

  private static TraceReader open(
      CaptureDescription capture, TokenRange range, int maxBatch, List<NpyFile> opened) {
    List<Long> choices =
        List.of(capture.tokens(), (long) capture.shape().layers(), (long) capture.shape().topK());
    NpyFile experts = NpyFile.open(capture.require("experts.npy"), "expert ids");
    opened.add(experts);
    DumpReader.checkExperts(experts, capture.shape().experts());
    capture.check(experts, "experts.npy", choices);

    Optional<NpyFile> weights =
        capture.find("weights.npy").map(path -> NpyFile.open(path, "router weights"));
    weights.ifPresent(
        file -> {
          opened.add(file);
          if (file.type().isInteger()) {
            throw new TraceFormatException(
                "Cannot read router weights from %s: its dtype is '%s' (%s), expected floating-point numbers"
                    .formatted(file.path(), file.header().descr(), file.type().kind()));
          }

          capture.check(file, "weights.npy", choices);
        });

    Path path = experts.path();
    TokenColumns columns =
        TokenColumns.open(
            capture.tokens(),
            Optional.of(capture.require("sequence.npy")),
            Optional.of(capture.require("position.npy")),
            Optional.of(capture.require("phase.npy")),
            path);
    return new DumpReader(
        capture.shape(), experts, weights, columns, range, maxBatch, " (" + capture.path() + ")");
  }
}
