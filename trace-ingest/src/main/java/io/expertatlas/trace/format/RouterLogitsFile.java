package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.format.TensorFile.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Scores {@code [layer][token][expert]} in a file: one tensor a layer, {@code [tokens, experts]} or
 * {@code [batch, sequence, experts]}, in the order of the last number in their names; or one tensor
 * of all layers, {@code [layers, tokens, experts]} or {@code [layers, batch, sequence, experts]}.
 */
final class RouterLogitsFile implements AutoCloseable {
  private static final Pattern NUMBERED = Pattern.compile("(.*?)(\\d{1,9})(\\D*)");

  private final TensorFile file;
  private final List<Tensor> layers; // one a layer, all of one shape
  private final long[] first; // element at which a layer begins in its tensor
  private final List<Long> axes; // of a layer

  private RouterLogitsFile(TensorFile file, List<Tensor> layers, long[] first, List<Long> axes) {
    this.file = file;
    this.layers = layers;
    this.first = first;
    this.axes = axes;
  }

  static RouterLogitsFile open(Path path, Optional<String> prefix) {
    boolean npy = NpyFile.hasMagic(path);
    TensorFile file =
        npy ? TensorFile.openNpy(path, "router logits") : TensorFile.openSafetensors(path);
    try {
      List<Tensor> chosen = new ArrayList<>();
      for (Tensor tensor : file.tensors().values()) {
        if (prefix.isEmpty() || tensor.name().startsWith(prefix.get())) {
          chosen.add(tensor);
        }
      }

      if (chosen.isEmpty()) {
        throw new TraceFormatException(
            "Cannot read router logits from %s: none of its tensors %s begins with '%s'"
                .formatted(path, shorten(file.tensors().keySet()), prefix.orElse("")));
      }

      RouterLogitsFile logits =
          chosen.size() == 1 && (npy || chosen.get(0).shape().size() == 4 || isStacked(chosen))
              ? stacked(file, chosen.get(0))
              : layered(file, chosen);
      logits.check();
      return logits;
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  /** A single tensor of three axes is all layers, unless a number in its name says which one. */
  private static boolean isStacked(List<Tensor> only) {
    return only.get(0).shape().size() == 3 && !NUMBERED.matcher(only.get(0).name()).matches();
  }

  private static RouterLogitsFile stacked(TensorFile file, Tensor tensor) {
    List<Long> shape = tensor.shape();
    if (shape.size() != 3 && shape.size() != 4) {
      throw new TraceFormatException(
          "Invalid shape %s of router logits in %s: expected [layers, tokens, experts] or [layers, batch, sequence, experts]"
              .formatted(shape, file.path()));
    }

    if (shape.get(0) < 1 || shape.get(0) > ModelShape.MAX_EXPERTS) {
      throw new TraceFormatException(
          "Invalid shape %s of router logits in %s: %d layers, 1 to %d"
              .formatted(shape, file.path(), shape.get(0), ModelShape.MAX_EXPERTS));
    }

    int count = (int) (long) shape.get(0);
    List<Tensor> layers = new ArrayList<>();
    long[] first = new long[count];
    for (int layer = 0; layer < count; layer++) {
      layers.add(tensor);
      first[layer] = tensor.elements() / count * layer;
    }

    return new RouterLogitsFile(file, layers, first, shape.subList(1, shape.size()));
  }

  private static RouterLogitsFile layered(TensorFile file, List<Tensor> chosen) {
    Map<Integer, Tensor> byNumber = new TreeMap<>();
    Map<String, String> families = new TreeMap<>();
    for (Tensor tensor : chosen) {
      Matcher name = NUMBERED.matcher(tensor.name());
      if (!name.matches()) {
        throw new TraceFormatException(
            "Cannot tell the layer of tensor %s in %s: its name holds no number. Maybe choose tensors with --format-option tensors=PREFIX"
                .formatted(tensor.name(), file.path()));
      }

      families.put(name.group(1) + "N" + name.group(3), tensor.name());
      byNumber.put(Integer.parseInt(name.group(2)), tensor);
    }

    if (families.size() > 1 || byNumber.size() != chosen.size()) {
      throw new TraceFormatException(
          "Cannot tell which tensors of %s are router logits: there are %s. Maybe choose with --format-option tensors=PREFIX"
              .formatted(file.path(), shorten(families.keySet())));
    }

    List<Tensor> layers = List.copyOf(byNumber.values());
    for (Tensor layer : layers) {
      if (!layer.shape().equals(layers.get(0).shape())) {
        throw new TraceFormatException(
            "Invalid shape of tensor %s in %s: %s, but %s has %s"
                .formatted(
                    layer.name(),
                    file.path(),
                    layer.shape(),
                    layers.get(0).name(),
                    layers.get(0).shape()));
      }
    }

    return new RouterLogitsFile(file, layers, new long[layers.size()], layers.get(0).shape());
  }

  private static String shorten(Iterable<String> names) {
    String text = new TreeSet<>(iterate(names)).toString();
    return text.length() > 120 ? text.substring(0, 117) + "..." : text;
  }

  private static List<String> iterate(Iterable<String> names) {
    List<String> list = new ArrayList<>();
    names.forEach(list::add);
    return list;
  }

  private void check() {
    long experts = axes.get(axes.size() - 1);
    if ((axes.size() != 2 && axes.size() != 3) || experts < 1 || experts > ModelShape.MAX_EXPERTS) {
      throw new TraceFormatException(
          "Invalid shape %s of the router logits of a layer in %s: expected [tokens, experts] or [batch, sequence, experts], 1 to %d experts"
              .formatted(axes, file.path(), ModelShape.MAX_EXPERTS));
    }

    for (Tensor layer : layers) {
      if (!layer.type().floating) {
        throw new TraceFormatException(
            "Cannot read router logits from %s: tensor '%s' is %s, expected floating-point numbers"
                .formatted(file.path(), layer.name(), layer.type()));
      }
    }
  }

  Path path() {
    return file.path();
  }

  int layers() {
    return layers.size();
  }

  int experts() {
    return (int) (long) axes.get(axes.size() - 1);
  }

  long tokens() {
    return axes.size() == 2 ? axes.get(0) : axes.get(0) * axes.get(1);
  }

  /** Tokens of each sequence, or 0 if batch and sequence are one axis. */
  long sequenceLength() {
    return axes.size() == 2 ? 0 : axes.get(1);
  }

  /** Reads the scores of a layer, {@code [token][expert]}. */
  void read(int layer, long firstToken, int count, float[] into) {
    file.readFloats(
        layers.get(layer),
        first[layer] + firstToken * experts(),
        Math.multiplyExact(count, experts()),
        into,
        0);
  }

  @Override
  public void close() {
    file.close();
  }
}
