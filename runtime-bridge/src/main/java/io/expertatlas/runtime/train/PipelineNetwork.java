package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** What stages send each other in a step: activations to the next one, gradients to the last. */
final class PipelineNetwork {
  private final List<BlockingQueue<Parcel>> activations = new ArrayList<>(); // [receiving stage]
  private final List<BlockingQueue<Parcel>> gradients = new ArrayList<>(); // [receiving stage]

  PipelineNetwork(int stages) {
    for (int stage = 0; stage < stages; stage++) {
      activations.add(new LinkedBlockingQueue<>());
      gradients.add(new LinkedBlockingQueue<>());
    }
  }

  private record Parcel(int chunk, Matrix content) {}

  /** Hands content over: it belongs to the receiver. */
  void send(boolean backward, int toStage, int chunk, Matrix content) {
    (backward ? gradients : activations).get(toStage).add(new Parcel(chunk, content));
  }

  /** Waits for what a stage is sent next, which is to be of this chunk. */
  Matrix receive(boolean backward, int stage, int chunk) throws InterruptedException {
    Parcel parcel = (backward ? gradients : activations).get(stage).take();
    if (parcel.chunk != chunk) {
      throw new IllegalStateException(
          "Stage %d was sent chunk %d, expected %d".formatted(stage, parcel.chunk, chunk));
    }

    return parcel.content;
  }
}
