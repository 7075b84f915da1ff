package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.input.InputFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Format {@code router-logits}: the {@code router_logits} of a transformers model, saved as {@code
 * .npy}, {@code .npz} or safetensors. Routes and weights are computed from them.
 */
public final class RouterLogitsFormat implements TraceFormat {
  /** For {@link java.util.ServiceLoader}. */
  public RouterLogitsFormat() {}

  @Override
  public String name() {
    return RouterLogits.NAME;
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return looksSo(source.path());
  }

  static boolean looksSo(Path path) {
    return Files.isRegularFile(path) && InputFiles.plainName(path).endsWith(".safetensors");
  }

  @Override
  public boolean isSplittable(TraceSource source) {
    return RouterLogitsFile.isRandomAccess(source.path());
  }

  @Override
  public List<FormatOption<?>> options() {
    return RouterLogits.OPTIONS;
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    RouterLogits logits = RouterLogits.open(source);
    return new BlockTraceReader(logits, range, logits.shape().layers() * logits.shape().experts());
  }
}
