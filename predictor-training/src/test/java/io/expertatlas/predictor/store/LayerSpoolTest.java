package io.expertatlas.predictor.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.SequenceSplit.Part;
import io.expertatlas.predictor.States;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RoutingTrace;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LayerSpoolTest {
  private static final ModelShape SHAPE = new ModelShape(4, 5, 2);
  private static final int HIDDEN = 300;
  private static final int TOKENS = 700; // four blocks
  private static final int LAYER = 1;
  private static final int HEADS = 2;

  @TempDir private Path folder;

  private static Part part(int token) {
    return token % 3 == 1 ? Part.VALIDATION : Part.TRAIN;
  }

  /** Fills a spool as the job does. */
  private static int fill(LayerSpool spool, RouterStates states, PredictedModel model)
      throws IOException {
    LayerBlock block = new LayerBlock(model, HEADS);
    RoutingTrace routes = states.routes();
    float[] gates = new float[SHAPE.totalExperts()];
    float[] gate = new float[SHAPE.experts()];
    short[] choices = new short[SHAPE.choicesPerToken()];
    FloatBuffer inputs = FloatBuffer.allocate(SHAPE.layers() * HIDDEN);
    int blocks = 0;
    for (int token = 0; token < TOKENS; token++) {
      for (int layer = 0; layer < SHAPE.layers(); layer++) {
        states.copyHidden(token, layer, inputs.array(), layer * HIDDEN);
        StateStoreWriter.distribution(states, token, layer, gate);
        System.arraycopy(gate, 0, gates, layer * gate.length, gate.length);
        for (int rank = 0; rank < SHAPE.topK(); rank++) {
          choices[layer * SHAPE.topK() + rank] = (short) routes.expert(token, layer, rank);
        }
      }

      block.add(
          part(token),
          inputs,
          LAYER * HIDDEN,
          gates,
          (LAYER + 1) * SHAPE.experts(),
          choices,
          LAYER * SHAPE.topK());
      if (block.isFull() || token == TOKENS - 1) {
        spool.add(block.take());
        blocks++;
      }
    }

    assertThat(block.isEmpty()).isTrue();
    return blocks;
  }

  @Test
  void holdsWhatTheStoreHoldsOfTheLayer() throws IOException {
    RouterStates states = States.draw(SHAPE, HIDDEN, TOKENS, 2);
    StateStore store = States.store(states, folder.resolve("store"));
    LayerStates stored = store.layer(LAYER, HEADS);
    Path parent = Files.createDirectory(folder.resolve("spool"));
    try (LayerSpool spool = new LayerSpool(parent, store.model(), HEADS, "here")) {
      assertThat(fill(spool, states, store.model())).isGreaterThan(2);
      assertThat(spool.rows()).isEqualTo(TOKENS);
      assertThat(spool.origin()).isEqualTo("here");
      assertThat(spool.rows(Part.VALIDATION))
          .isEqualTo(IntStream.range(0, TOKENS).filter(token -> token % 3 == 1).toArray());
      assertThat(spool.rows(Part.TRAIN)).hasSize(TOKENS - TOKENS / 3);
      for (int row : new int[] {0, 190, 500}) {
        float[][] found = new float[2][2 + 200 * HIDDEN];
        spool.readHidden(row, 200, found[0], 2);
        stored.readHidden(row, 200, found[1], 2);
        assertThat(found[0]).isEqualTo(found[1]);
        float[][] gates = new float[2][1 + 200 * HEADS * SHAPE.experts()];
        spool.readGates(row, 200, gates[0], 1);
        stored.readGates(row, 200, gates[1], 1);
        assertThat(gates[0]).isEqualTo(gates[1]);
        short[][] experts = new short[2][3 + 200 * (1 + HEADS) * SHAPE.topK()];
        spool.readExperts(row, 200, experts[0], 3);
        stored.readExperts(row, 200, experts[1], 3);
        assertThat(experts[0]).isEqualTo(experts[1]);
        assertThat((int) experts[0][3]).isEqualTo(states.routes().expert(row, LAYER, 0));
      }
    }

    try (Stream<Path> left = Files.list(parent)) {
      assertThat(left).isEmpty();
    }
  }

  @Test
  void blocksOfAnotherLayoutAreRefused() throws IOException {
    PredictedModel model = new PredictedModel("", SHAPE, 3);
    try (LayerSpool spool = new LayerSpool(folder, model, 1, "here")) {
      assertThatThrownBy(() -> spool.add(new byte[7]))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Invalid block: 7 bytes, a row has 41");
    }

    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).isEmpty();
    }
  }
}
