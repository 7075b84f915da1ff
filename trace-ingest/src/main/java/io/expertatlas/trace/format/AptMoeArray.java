package io.expertatlas.trace.format;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.torch.TorchFile;
import io.expertatlas.trace.torch.TorchTensor;
import io.expertatlas.trace.torch.TorchValue;
import java.util.List;

/** An array {@code [layers, tokens, width]} of floats, the only value of a torch file. */
final class AptMoeArray {
  private static final int MAX_WIDTH = 1 << 20;

  private final TorchTensor tensor;
  private final String file;
  private final int layers;
  private final int tokens;
  private final int width;
  private float[] row = {};

  private AptMoeArray(TorchTensor tensor, String file, int layers, int tokens, int width) {
    this.tensor = tensor;
    this.file = file;
    this.layers = layers;
    this.tokens = tokens;
    this.width = width;
  }

  static AptMoeArray of(TorchFile file) {
    TorchValue root = file.root();
    if (!root.isTensor()) {
      throw root.wrong("an array (layers, tokens, width) of floats");
    }

    TorchTensor tensor = root.tensor();
    List<Long> shape = tensor.shape();
    int axes = shape.size();
    boolean fits =
        tensor.type().isFloating()
            && (axes == 2 || axes == 3)
            && shape.get(0) >= 1
            && shape.get(axes - 1) >= 1
            && shape.get(axes - 1) <= MAX_WIDTH
            && shape.get(0) <= MAX_WIDTH / shape.get(axes - 1) * 64
            && (axes == 2 || shape.get(1) <= 1 << 26);
    if (!fits) {
      throw root.wrong("an array (layers, tokens, width) of floats");
    }

    return new AptMoeArray(
        tensor,
        root.at(),
        shape.get(0).intValue(),
        axes == 2 ? 1 : shape.get(1).intValue(),
        shape.get(axes - 1).intValue());
  }

  int layers() {
    return layers;
  }

  int tokens() {
    return tokens;
  }

  /** Length of the last axis. */
  int width() {
    return width;
  }

  /**
   * Reads the values of some tokens.
   *
   * @param chosen indices of the tokens
   * @param from first of {@code chosen} to read
   * @param count how many of {@code chosen} to read
   * @param into {@code [token][layer][width]}
   */
  void read(int[] chosen, int from, int count, float[] into) {
    for (int layer = 0; layer < layers; layer++) {
      int first = chosen[from];
      int all = chosen[from + count - 1] - first + 1;
      float[] rows = rows(layer, first, all);
      for (int i = 0; i < count; i++) {
        int at = (chosen[from + i] - first) * width;
        System.arraycopy(rows, at, into, (i * layers + layer) * width, width);
        check(rows, at, layer, chosen[from + i]);
      }
    }
  }

  private float[] rows(int layer, int first, int count) {
    if (row.length < count * width) {
      row = new float[count * width];
    }

    tensor.readFloats(((long) layer * tokens + first) * width, count * width, row);
    return row;
  }

  private void check(float[] rows, int at, int layer, int token) {
    for (int i = 0; i < width; i++) {
      if (!Float.isFinite(rows[at + i])) {
        throw new TraceFormatException(
            "Invalid value %s in %s at layer %d, token %d, index %d: it must be finite"
                .formatted(rows[at + i], file, layer, token, i));
      }
    }
  }

  /** Whether every value is 0 or 1. */
  boolean isMask() {
    for (int layer = 0; layer < layers; layer++) {
      for (int token = 0; token < tokens; token++) {
        float[] values = rows(layer, token, 1);
        for (int i = 0; i < width; i++) {
          if (values[i] != 0 && values[i] != 1) {
            return false;
          }
        }
      }
    }

    return tokens > 0;
  }

  /** Whether a token of a mask has {@code topK} ones in every layer. */
  boolean isComplete(int token, int topK) {
    for (int layer = 0; layer < layers; layer++) {
      float[] values = rows(layer, token, 1);
      int ones = 0;
      for (int i = 0; i < width; i++) {
        ones += values[i] == 1 ? 1 : 0;
      }

      if (ones < topK) {
        return false;
      }
    }

    return true;
  }
}
