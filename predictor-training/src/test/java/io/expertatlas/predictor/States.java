package io.expertatlas.predictor;

import io.expertatlas.predictor.store.StateStore;
import io.expertatlas.predictor.store.StateStoreWriter;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RoutingTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;

/** Router states for tests: a linear teacher, so that later gates follow from earlier inputs. */
public final class States {
  private States() {}

  /**
   * Draws states of sequences of 10 tokens. Layer l + 1's input is layer l's; gates differ.
   *
   * @param seed also of the {@link #gates}
   */
  public static RouterStates draw(ModelShape shape, int hiddenSize, int tokens, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    float[][] gates = gates(shape, hiddenSize, seed);
    int layers = shape.layers();
    float[] hidden = new float[tokens * layers * hiddenSize];
    float[] logits = new float[tokens * layers * shape.experts()];
    short[] experts = new short[tokens * shape.choicesPerToken()];
    for (int token = 0; token < tokens; token++) {
      float[] state = new float[hiddenSize];
      for (int i = 0; i < hiddenSize; i++) {
        state[i] = (float) random.nextDouble(-1, 1);
      }

      for (int layer = 0; layer < layers; layer++) {
        int row = token * layers + layer;
        System.arraycopy(state, 0, hidden, row * hiddenSize, hiddenSize);
        for (int expert = 0; expert < shape.experts(); expert++) {
          double sum = 0;
          for (int i = 0; i < hiddenSize; i++) {
            sum += gates[layer][expert * hiddenSize + i] * state[i];
          }

          logits[row * shape.experts() + expert] = (float) sum;
        }

        top(logits, row * shape.experts(), shape, experts, row * shape.topK());
      }
    }

    int[] sequence = new int[tokens];
    int[] position = new int[tokens];
    for (int token = 0; token < tokens; token++) {
      sequence[token] = token / 10;
      position[token] = token % 10;
    }

    RoutingTrace routes =
        RoutingTrace.of(shape, experts, new float[0], sequence, position, new byte[tokens]);
    return RouterStates.of(routes, hiddenSize, hidden, Scores.LOGITS, logits);
  }

  private static void top(float[] logits, int at, ModelShape shape, short[] experts, int to) {
    boolean[] taken = new boolean[shape.experts()];
    for (int rank = 0; rank < shape.topK(); rank++) {
      int best = -1;
      for (int expert = 0; expert < shape.experts(); expert++) {
        if (!taken[expert] && (best < 0 || logits[at + expert] > logits[at + best])) {
          best = expert;
        }
      }

      taken[best] = true;
      experts[to + rank] = (short) best;
    }
  }

  /** The gates of the teacher, {@code [layer]} of {@code [expert][hidden]}. */
  public static float[][] gates(ModelShape shape, int hiddenSize, long seed) {
    SplittableRandom random = new SplittableRandom(seed + 1000);
    float[][] gates = new float[shape.layers()][shape.experts() * hiddenSize];
    for (float[] gate : gates) {
      for (int i = 0; i < gate.length; i++) {
        gate[i] = (float) random.nextDouble(-2, 2);
      }
    }

    return gates;
  }

  /** A store of states in a new folder. */
  public static StateStore store(RouterStates states, Path folder) throws IOException {
    Files.createDirectories(folder);
    PredictedModel model =
        new PredictedModel("teacher", states.routes().shape(), states.hiddenSize());
    try (StateStoreWriter writer = new StateStoreWriter(folder, model)) {
      writer.add(states, index -> true);
      return writer.finish("a test");
    }
  }
}
