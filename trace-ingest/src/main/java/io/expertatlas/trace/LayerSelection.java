package io.expertatlas.trace;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Some of the MoE layers of a model, in model order: runs of neighbouring layers, which are copied
 * at once. Immutable.
 */
public final class LayerSelection {
  private static final Pattern TERM = Pattern.compile("(\\d{1,6})|(\\d{0,6}):(\\d{0,6})");

  private final ModelShape shape; // of the whole model
  private final int[] runs; // [run][first layer, layer behind the last]
  private final int layers;

  private LayerSelection(ModelShape shape, int[] runs) {
    this.shape = shape;
    this.runs = runs;
    int count = 0;
    for (int i = 0; i < runs.length; i += 2) {
      count += runs[i + 1] - runs[i];
    }

    this.layers = count;
  }

  /** Every layer. */
  public static LayerSelection all(ModelShape shape) {
    return new LayerSelection(shape, new int[] {0, shape.layers()});
  }

  /**
   * Parses layers and ranges of layers separated by commas: {@code 3}, {@code 0:4} (0 to 3; either
   * side may be missing).
   *
   * @throws IllegalArgumentException if a term is of another form, empty, or outside the model
   */
  public static LayerSelection parse(String text, ModelShape shape) {
    BitSet chosen = new BitSet();
    for (String part : text.split(",", -1)) {
      String term = part.strip();
      Matcher matcher = TERM.matcher(term);
      if (!matcher.matches()) {
        throw new IllegalArgumentException(
            "Invalid layers: '%s' in %s, expected LAYER or FROM:TO".formatted(term, text));
      }

      int from = 0;
      int to = shape.layers();
      if (matcher.group(1) != null) {
        from = Integer.parseInt(term);
        to = from + 1;
      } else {
        from = matcher.group(2).isEmpty() ? from : Integer.parseInt(matcher.group(2));
        to = matcher.group(3).isEmpty() ? to : Integer.parseInt(matcher.group(3));
      }

      if (from >= to || to > shape.layers()) {
        throw new IllegalArgumentException(
            "Invalid layers: '%s' in %s, the model has layers 0 to %d"
                .formatted(term, text, shape.layers() - 1));
      }

      chosen.set(from, to);
    }

    List<Integer> bounds = new ArrayList<>();
    for (int from = chosen.nextSetBit(0); from >= 0; ) {
      int to = chosen.nextClearBit(from);
      bounds.add(from);
      bounds.add(to);
      from = chosen.nextSetBit(to);
    }

    return new LayerSelection(shape, bounds.stream().mapToInt(Integer::intValue).toArray());
  }

  /** Whether every layer is chosen. */
  public boolean isAll() {
    return layers == shape.layers();
  }

  /** Number of chosen layers. */
  public int layers() {
    return layers;
  }

  /** Expert choices of one token in the chosen layers: {@code layers * topK}. */
  public int choicesPerToken() {
    return layers * shape.topK();
  }

  /** Copies a piece of a row-major array {@code [token][layer][value]}. */
  @FunctionalInterface
  public interface Copy {
    /** Copies so many elements from an index on. */
    void elements(int from, int count);
  }

  /**
   * Cuts the chosen choices of tokens {@code from} (inclusive) to {@code to} (exclusive) into
   * pieces that stand together in an array of the whole model: one if every layer is chosen.
   */
  public void forEachPiece(int from, int to, Copy copy) {
    forEachPiece(shape.topK(), from, to, copy);
  }

  /** The same for an array with so many values a layer, {@code [token][layer][value]}. */
  public void forEachPiece(int layerValues, int from, int to, Copy copy) {
    int width = shape.layers() * layerValues;
    if (isAll()) {
      copy.elements(from * width, (to - from) * width);
      return;
    }

    for (int token = from; token < to; token++) {
      for (int run = 0; run < runs.length; run += 2) {
        copy.elements(
            token * width + runs[run] * layerValues, (runs[run + 1] - runs[run]) * layerValues);
      }
    }
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < runs.length; i += 2) {
      text.append(i == 0 ? "" : ",").append(runs[i]);
      if (runs[i + 1] > runs[i] + 1) {
        text.append(':').append(runs[i + 1]);
      }
    }

    return text.toString();
  }
}
