package io.expertatlas.predictor.store;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.SequenceSplit.Part;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/**
 * Gathers consecutive rows of a layer into blocks of bytes, little-endian: the part of each row
 * (ordinal, a byte), then router inputs {@code [row][hidden]} float32, gate distributions {@code
 * [row][head][expert]} float32, choices {@code [row][1 + head][rank]} uint16. Not safe for several
 * threads.
 */
public final class LayerBlock {
  private static final int BLOCK_BYTES = 1 << 18;
  private static final int MAX_ROWS = 1 << 10;

  private final Layout layout;
  private final int capacity; // rows
  private final ByteBuffer parts;
  private final ByteBuffer hidden;
  private final ByteBuffer gates;
  private final ByteBuffer experts;

  /**
   * Values of a row.
   *
   * @param hidden of the router's input
   * @param gates of the distributions of all heads
   * @param experts choices in the layer and in those predicted
   */
  record Layout(int hidden, int gates, int experts) {
    static Layout of(PredictedModel model, int heads) {
      return new Layout(
          model.hiddenSize(), heads * model.shape().experts(), (1 + heads) * model.shape().topK());
    }

    /** Bytes of a row in one of the files of {@link LayerSpool}. */
    int bytes(int file) {
      return switch (file) {
        case 0 -> Float.BYTES * hidden;
        case 1 -> Float.BYTES * gates;
        default -> Short.BYTES * experts;
      };
    }

    private int rowBytes() {
      return 1 + bytes(0) + bytes(1) + bytes(2);
    }

    int rows(byte[] block) {
      if (block.length % rowBytes() != 0) {
        throw new IllegalArgumentException(
            "Invalid block: %d bytes, a row has %d".formatted(block.length, rowBytes()));
      }

      return block.length / rowBytes();
    }
  }

  /** Room for the rows of one block, about 256 KiB. */
  public LayerBlock(PredictedModel model, int heads) {
    layout = Layout.of(model, heads);
    capacity = Math.max(1, Math.min(MAX_ROWS, BLOCK_BYTES / layout.rowBytes()));
    parts = ByteBuffer.allocate(capacity);
    hidden = allocate(0);
    gates = allocate(1);
    experts = allocate(2);
  }

  private ByteBuffer allocate(int file) {
    return ByteBuffer.allocate(Math.multiplyExact(capacity, layout.bytes(file)))
        .order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Whether no row is here. */
  public boolean isEmpty() {
    return parts.position() == 0;
  }

  /** Whether no row fits any more. */
  public boolean isFull() {
    return parts.position() == capacity;
  }

  /**
   * Appends a row; there is room for it.
   *
   * @param inputs router inputs, of which the layer's begin at an index
   * @param distributions {@code [layer][expert]}, of which those predicted begin at an index
   * @param choices {@code [layer][rank]}, of which the layer's begin at an index
   */
  public void add(
      Part part,
      FloatBuffer inputs,
      int inputsFrom,
      float[] distributions,
      int distributionsFrom,
      short[] choices,
      int choicesFrom) {
    int row = parts.position();
    parts.put((byte) part.ordinal());
    hidden.asFloatBuffer().put(row * layout.hidden(), inputs, inputsFrom, layout.hidden());
    gates
        .asFloatBuffer()
        .put(row * layout.gates(), distributions, distributionsFrom, layout.gates());
    experts.asShortBuffer().put(row * layout.experts(), choices, choicesFrom, layout.experts());
  }

  /** The rows that are here; then none is. */
  public byte[] take() {
    int rows = parts.position();
    ByteBuffer block = ByteBuffer.allocate(rows * layout.rowBytes());
    block.put(parts.array(), 0, rows);
    block.put(hidden.array(), 0, rows * layout.bytes(0));
    block.put(gates.array(), 0, rows * layout.bytes(1));
    block.put(experts.array(), 0, rows * layout.bytes(2));
    parts.clear();
    return block.array();
  }
}
