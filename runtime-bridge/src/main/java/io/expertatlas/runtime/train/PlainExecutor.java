package io.expertatlas.runtime.train;

import io.expertatlas.runtime.cpu.FloatProducts;
import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.train.Stage.Keep;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The whole model on the thread that asks, micro-batch by micro-batch; the twin that pipelines are
 * compared with.
 */
public final class PlainExecutor implements StepExecutor {
  private final Stage stage;
  private final TrainableModel model;
  private final int microBatches;
  private long peakBytes;

  /** An executor of steps of so many micro-batches. */
  public PlainExecutor(TrainableModel model, int microBatches) {
    this.model = model;
    this.stage = new Stage(model, 0, model.layers().size());
    this.microBatches = microBatches;
    FloatProducts.useThreads(1);
  }

  /** Copies of all parameters. */
  private static final class All implements Copies {
    private final Map<Parameter, Matrix> values = new IdentityHashMap<>();
    private final Map<Parameter, Matrix> gradients = new IdentityHashMap<>();

    All(Stage stage, boolean withGradients) {
      for (Block block : stage.blocks()) {
        for (Parameter parameter : block.parameters()) {
          values.put(parameter, load(parameter));
          if (withGradients) {
            gradients.put(parameter, device().zeros(parameter.rows(), parameter.columns()));
          }
        }
      }
    }

    private Matrix load(Parameter parameter) {
      return DoubleDevice.INSTANCE.load(parameter.value(), parameter.rows(), parameter.columns());
    }

    @Override
    public MatrixDevice device() {
      return DoubleDevice.INSTANCE;
    }

    @Override
    public Matrix value(Parameter parameter) {
      return values.get(parameter);
    }

    @Override
    public Matrix gradient(Parameter parameter) {
      return gradients.get(parameter);
    }
  }

  @Override
  public double gradients(TokenBatch batch) throws InterruptedException {
    List<TokenBatch> parts = batch.split(microBatches);
    note(2 * stage.copyBytes(DoubleDevice.INSTANCE), parts.get(0));
    All copies = new All(stage, true);
    ExpertRunner runner = ExpertRunner.inOrder(copies);
    double loss = 0;
    for (TokenBatch part : parts) {
      Stage.Tape tape =
          stage.forward(part, Optional.empty(), batch.targets(), Keep.TAPES, copies, runner);
      loss += tape.loss();
      stage.backward(tape, Optional.empty(), batch.targets(), copies, runner);
    }

    model.parameters().forEach(Parameter::clearGradient);
    stage.storeGradients(parameter -> Optional.of(copies.gradient(parameter)));
    return loss / batch.targets();
  }

  @Override
  public double step(TokenBatch batch, Update update) throws InterruptedException {
    double loss = gradients(batch);
    update.update(model.parameters(), false);
    return loss;
  }

  @Override
  public double loss(TokenBatch batch) throws InterruptedException {
    note(stage.copyBytes(DoubleDevice.INSTANCE), batch);
    All copies = new All(stage, false);
    ExpertRunner runner = ExpertRunner.inOrder(copies);
    return stage
            .forward(batch, Optional.empty(), batch.targets(), Keep.NOTHING, copies, runner)
            .loss()
        / batch.targets();
  }

  @Override
  public long peakBytes() {
    return peakBytes;
  }

  private void note(long copies, TokenBatch part) {
    peakBytes =
        Math.max(
            peakBytes,
            copies
                + stage.tapeBytes(part.tokens(), part.length(), Keep.TAPES, DoubleDevice.INSTANCE));
  }

  @Override
  public void close() {}
}
