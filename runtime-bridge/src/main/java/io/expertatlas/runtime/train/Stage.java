package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * Consecutive layers of a model, with the embedding before the first and the head behind the last:
 * what it computes of a micro-batch. Immutable.
 *
 * @param model whose layers
 * @param first layer
 * @param end behind the last layer
 */
record Stage(TrainableModel model, int first, int end) {
  private static final int BACKWARD_SHARE = 3; // a tape, and gradients of what it holds

  Stage {
    if (first < 0 || end <= first || end > model.layers().size()) {
      throw new IllegalArgumentException(
          "Invalid stage: layers %d to %d of %d".formatted(first, end - 1, model.layers().size()));
    }
  }

  boolean isFirst() {
    return first == 0;
  }

  boolean isLast() {
    return end == model.layers().size();
  }

  /** What is copied besides experts, in the order in which it is needed. */
  List<Block> denseBlocks() {
    List<Block> blocks = new ArrayList<>();
    if (isFirst()) {
      blocks.add(model.embedding());
    }

    for (int layer = first; layer < end; layer++) {
      blocks.add(model.layers().get(layer).attention());
      blocks.add(model.layers().get(layer).gate());
    }

    if (isLast()) {
      blocks.add(model.head());
    }

    return blocks;
  }

  /** All that may be copied: dense blocks and experts. */
  List<Block> blocks() {
    List<Block> blocks = new ArrayList<>();
    for (int layer = first; layer < end; layer++) {
      blocks.addAll(model.layers().get(layer).experts());
    }

    blocks.addAll(0, denseBlocks());

    return blocks;
  }

  /** Bytes of a copy of all blocks. */
  long copyBytes(MatrixDevice device) {
    return blocks().stream().mapToLong(block -> block.copyBytes(device)).sum();
  }

  /** Bytes that reduced tapes keep on a device, of a micro-batch of so many tokens. */
  long heldBytes(int tokens, MatrixDevice device) {
    long matrices =
        model.layers().subList(first, end).stream().mapToLong(Layer::heldMatrices).sum();
    return matrices * tokens * model.hidden() * device.numberBytes();
  }

  /**
   * Bytes that a micro-batch of so many tokens takes, its input included. Kept are all tapes, or
   * the largest layer's alone, with scores of attention, or what backward makes of both, experts
   * one after the other.
   */
  long tapeBytes(int tokens, int length, Keep keep, MatrixDevice device) {
    long all = 0;
    long forward = 0;
    long backward = 0;
    for (Layer layer : model.layers().subList(first, end)) {
      long scores = 2L * tokens * length * layer.heads().heads() * Double.BYTES;
      all += layer.tapeBytes(tokens, false);
      forward = Math.max(forward, layer.tapeBytes(tokens, false) + scores);
      long again = layer.tapeBytes(tokens, true) + addedRowBytes(layer, device.rowsOfSum() - 1);
      backward = Math.max(backward, BACKWARD_SHARE * (again + scores));
    }

    long inside =
        switch (keep) {
          case TAPES -> all;
          case REDUCED -> Math.max(forward, backward);
          case NOTHING -> forward;
        };
    long ends = (long) tokens * (model.hidden() + (isLast() ? model.vocabulary() : 0));
    return inside / Double.BYTES * device.numberBytes() // layers tell theirs in doubles
        + inside % Double.BYTES
        + ends * device.numberBytes();
  }

  /** Bytes, in doubles, of rows that each expert's are rounded up by when it is computed again. */
  private long addedRowBytes(Layer layer, int rows) {
    int inner = layer.experts().get(0).parameters().get(0).rows();
    long numbers =
        layer.experts().size() * (long) model.hidden() + layer.math().innerMatrices() * inner;
    return rows * numbers * Double.BYTES;
  }

  /** Hands the sums of gradients over, the head's before the embedding's. */
  void storeGradients(Function<Parameter, Optional<Matrix>> sums) {
    List<Block> blocks = blocks();
    List<Parameter> parameters = new ArrayList<>();
    List<Matrix> ofStep = new ArrayList<>();
    for (int i = blocks.size() - 1; i >= 0; i--) {
      for (Parameter parameter : blocks.get(i).parameters()) {
        Optional<Matrix> sum = sums.apply(parameter);
        if (sum.isPresent()) {
          parameters.add(parameter);
          ofStep.add(sum.get());
        }
      }
    }

    Parameter.storeGradients(parameters, ofStep);
  }

  /** What stays of forward for backward. */
  enum Keep {
    /** Nothing: no backward follows. */
    NOTHING,
    /**
     * Reduced tapes: backward computes each layer again, but its routing and experts of the CPU.
     */
    REDUCED,
    /** All that the layers kept. */
    TAPES
  }

  /**
   * What backward needs of forward.
   *
   * @param batch the micro-batch
   * @param keep what of the layers' tapes
   * @param layers their tapes
   * @param output of the last layer
   * @param logitsGradient of the last stage, if tapes are kept
   * @param loss of the last stage, summed over targets; of others 0
   */
  record Tape(
      TokenBatch batch,
      Keep keep,
      List<Layer.Tape> layers,
      Matrix output,
      Optional<Matrix> logitsGradient,
      double loss) {
    /** Bytes of all that layers kept, without the input. */
    long bytes() {
      return layers.stream().mapToLong(Layer.Tape::bytes).sum()
          + logitsGradient.map(Matrix::bytes).orElse(0L);
    }
  }

  /**
   * Computes a micro-batch.
   *
   * @param input of the stage before, which belongs to this one now; of the first stage none
   * @param targets of the whole step
   * @return its output belongs to the caller
   */
  @SuppressWarnings("try") // scopes are there to be closed
  Tape forward(
      TokenBatch batch,
      Optional<Matrix> input,
      long targets,
      Keep keep,
      Copies copies,
      ExpertRunner runner)
      throws InterruptedException {
    MatrixDevice device = copies.device();
    List<Layer.Tape> tapes = new ArrayList<>();
    Matrix x = input.orElse(null);
    if (isFirst()) {
      try (MatrixDevice.Scope scope = device.scope()) {
        x = model.embed(batch.ids(), batch.length(), copies);
        scope.keep(x);
      }
    }

    for (int layer = first; layer < end; layer++) {
      Matrix below = x;
      if (keep == Keep.TAPES) {
        tapes.add(model.layers().get(layer).forward(x, batch.length(), copies, runner));
        x = tapes.get(tapes.size() - 1).output();
        continue;
      }

      try (MatrixDevice.Scope scope = device.scope()) {
        Layer.Tape tape = model.layers().get(layer).forward(x, batch.length(), copies, runner);
        x = tape.output();
        scope.keep(x);
        if (keep == Keep.REDUCED) {
          tapes.add(tape.reduced());
          tape.held().forEach(scope::keep);
        }
      }

      if (keep == Keep.NOTHING) {
        device.release(below);
      }
    }

    Optional<Matrix> logits = Optional.empty();
    double loss = 0;
    if (isLast() && keep == Keep.TAPES) {
      logits = Optional.of(model.logits(x, copies));
      loss = logits.get().crossEntropy(batch.next(), 1.0 / targets);
    } else if (isLast()) {
      try (MatrixDevice.Scope scope = device.scope()) {
        loss = model.logits(x, copies).crossEntropy(batch.next(), 1.0 / targets);
      }
    }

    return new Tape(batch, keep, tapes, x, logits, loss);
  }

  /**
   * Adds the parameters' gradients of a micro-batch, and gives up what its tape holds.
   *
   * @param gradient of the stage's output, which belongs to this one now; of the last stage none
   * @return that of the stage's input, which belongs to the caller; of the first stage none
   */
  Optional<Matrix> backward(
      Tape tape, Optional<Matrix> gradient, long targets, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    MatrixDevice device = copies.device();
    Matrix down = gradient.orElse(null);
    if (isLast()) {
      try (MatrixDevice.Scope scope = device.scope()) {
        Matrix logits =
            tape.logitsGradient.isPresent()
                ? tape.logitsGradient.get()
                : logitsAgain(tape, targets, copies);
        down = model.logitsBackward(tape.output, logits, copies);
        scope.keep(down);
      }

      device.release(tape.output);
    }

    for (int layer = end - 1; layer >= first; layer--) {
      Layer.Tape of = tape.layers.get(layer - first);
      Matrix above = down;
      try (MatrixDevice.Scope scope = device.scope()) {
        down = model.layers().get(layer).backward(of, tape.batch.length(), down, copies, runner);
        scope.keep(down);
      }

      device.release(above);
      if (tape.keep == Keep.REDUCED) {
        device.release(of.x());
        of.held().forEach(device::release);
      }
    }

    if (!isFirst()) {
      return Optional.of(down);
    }

    model.embedBackward(tape.batch.ids(), down, copies);
    device.release(down);
    return Optional.empty();
  }

  private Matrix logitsAgain(Tape tape, long targets, Copies copies) {
    Matrix logits = model.logits(tape.output, copies);
    logits.crossEntropyGradient(tape.batch.next(), 1.0 / targets);
    return logits;
  }
}
