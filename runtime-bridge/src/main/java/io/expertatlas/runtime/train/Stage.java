package io.expertatlas.runtime.train;

import java.util.ArrayList;
import java.util.List;

/**
 * Consecutive layers of a model, with the embedding before the first and the head behind the last:
 * what it computes of a micro-batch. Immutable.
 *
 * @param model whose layers
 * @param first layer
 * @param end behind the last layer
 */
record Stage(TrainableModel model, int first, int end) {
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

  /** Bytes of a copy of all blocks in doubles. */
  long copyBytes() {
    return blocks().stream().mapToLong(Block::copyBytes).sum();
  }

  /** Bytes of the tape of a micro-batch of so many tokens, its input included. */
  long tapeBytes(int tokens) {
    long bytes = (long) tokens * model.hidden() * Double.BYTES;
    for (int layer = first; layer < end; layer++) {
      bytes += model.layers().get(layer).tapeBytes(tokens);
    }

    return isLast() ? bytes + (long) tokens * model.vocabulary() * Double.BYTES : bytes;
  }

  /** Adds the sums of gradients to the parameters', the head's before the embedding's. */
  void flush(Copies copies) {
    List<Block> blocks = blocks();
    for (int i = blocks.size() - 1; i >= 0; i--) {
      for (Parameter parameter : blocks.get(i).parameters()) {
        parameter.addGradient(copies.gradient(parameter));
      }
    }
  }

  /**
   * What backward needs of forward.
   *
   * @param batch the micro-batch
   * @param layers of the stage
   * @param output of the last layer
   * @param logitsGradient of the last stage; of others 0 x 0
   * @param loss of the last stage, summed over targets; of others 0
   */
  record Tape(
      TokenBatch batch,
      List<Layer.Tape> layers,
      Matrix output,
      Matrix logitsGradient,
      double loss) {
    /** Bytes of all that is kept, without the input. */
    long bytes() {
      return layers.stream().mapToLong(Layer.Tape::bytes).sum() + logitsGradient.bytes();
    }
  }

  /**
   * Computes a micro-batch.
   *
   * @param input of the stage before; of the first stage ignored
   * @param targets of the whole step
   */
  Tape forward(TokenBatch batch, Matrix input, long targets, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    Matrix x = isFirst() ? model.embed(batch.ids(), batch.length(), copies) : input;
    List<Layer.Tape> tapes = new ArrayList<>();
    for (int layer = first; layer < end; layer++) {
      tapes.add(model.layers().get(layer).forward(x, batch.length(), copies, runner));
      x = tapes.get(tapes.size() - 1).output();
    }

    Matrix logits = isLast() ? model.logits(x, copies) : new Matrix(0, 0);
    double loss = isLast() ? CrossEntropy.intoGradient(logits, batch, targets) : 0;
    return new Tape(batch, tapes, x, logits, loss);
  }

  /**
   * Adds the parameters' gradients of a micro-batch.
   *
   * @param gradient of the stage's output; of the last stage ignored
   * @return that of the stage's input; of the first stage, of the embedded tokens
   */
  Matrix backward(Tape tape, Matrix gradient, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    Matrix down =
        isLast() ? model.logitsBackward(tape.output, tape.logitsGradient, copies) : gradient;
    for (int layer = end - 1; layer >= first; layer--) {
      down =
          model
              .layers()
              .get(layer)
              .backward(tape.layers.get(layer - first), tape.batch.length(), down, copies, runner);
    }

    if (isFirst()) {
      model.embedBackward(tape.batch.ids(), down, copies);
    }

    return down;
  }
}
