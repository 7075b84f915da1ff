package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.TensorFile.Tensor;
import io.expertatlas.trace.format.TrtllmStatistics.Step;
import java.util.List;

/**
 * Format {@code trtllm}: the raw expert statistics of TensorRT-LLM, {@code
 * rank<r>_raw.safetensors}, ids {@code [tokens, k]} of each iteration and layer. Requests are not
 * recorded: the tokens of an iteration on a rank are one sequence.
 */
public final class TrtllmFormat implements TraceFormat {
  /** For {@link java.util.ServiceLoader}. */
  public TrtllmFormat() {}

  @Override
  public String name() {
    return TrtllmStatistics.NAME;
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return TrtllmStatistics.has(source.path(), TrtllmStatistics.RAW);
  }

  @Override
  public boolean isSplittable(TraceSource source) {
    return !TrtllmStatistics.isCompressed(source.path(), TrtllmStatistics.RAW);
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    Sources.refuseColumns(source);
    TrtllmStatistics raw = TrtllmStatistics.open(source.path(), TrtllmStatistics.RAW);
    try {
      Sources.checkExperts(source, raw.experts());
      Blocks blocks = new Blocks(raw);
      return new BlockTraceReader(blocks, range, blocks.shape().choicesPerToken());
    } catch (RuntimeException e) {
      raw.close();
      throw e;
    }
  }

  private static final class Blocks implements RouteBlocks {
    private final TrtllmStatistics raw;
    private final ModelShape shape;
    private final long[] tokens;

    Blocks(TrtllmStatistics raw) {
      this.raw = raw;
      this.shape = new ModelShape(raw.layers(), raw.experts(), raw.topK());
      this.tokens = new long[raw.steps().size()];
      for (int i = 0; i < tokens.length; i++) {
        Step step = raw.steps().get(i);
        for (Tensor tensor : step.tensors()) {
          List<Long> first = step.tensors().get(0).shape();
          if (tensor.shape().size() != 2
              || tensor.shape().get(1) != raw.topK()
              || !tensor.shape().equals(first)) {
            throw new TraceFormatException(
                "Invalid shape of tensor %s in %s: %s, expected [tokens, %d] with as many tokens as %s %s"
                    .formatted(
                        tensor.name(),
                        step.file().path(),
                        tensor.shape(),
                        raw.topK(),
                        step.tensors().get(0).name(),
                        first));
          }
        }

        tokens[i] = step.tensors().get(0).shape().get(0);
      }
    }

    @Override
    public ModelShape shape() {
      return shape;
    }

    @Override
    public long[] blockTokens() {
      return tokens.clone();
    }

    @Override
    public RoutingTrace routes(int block, long from, int count) {
      Step step = raw.steps().get(block);
      RouteBuffer buffer =
          new RouteBuffer(
              shape,
              count,
              false,
              step.file().path(),
              token -> "iteration %d, token %d".formatted(step.iteration(), from + token));
      int topK = shape.topK();
      long[] ids = new long[count * topK];
      for (int layer = 0; layer < shape.layers(); layer++) {
        step.file().readIntegers(step.tensors().get(layer), from * topK, ids.length, ids, 0);
        for (int i = 0; i < ids.length; i++) {
          buffer.put(i / topK, layer, i % topK, ids[i]);
        }
      }

      for (int token = 0; token < count; token++) {
        buffer.sequence[token] = block;
        buffer.position[token] = Math.toIntExact(from + token);
      }

      return buffer.build();
    }

    @Override
    public void close() {
      raw.close();
    }
  }
}
