package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.format.TensorFile.Tensor;
import io.expertatlas.trace.input.InputFiles;
import io.expertatlas.trace.input.ZipArchive;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Scores {@code [layer][token][expert]} in a safetensors, {@code .npy} or {@code .npz} file: one
 * tensor a layer, {@code [tokens, experts]} or {@code [batch, sequence, experts]}, in the order of
 * the last number in their names; or one tensor of all layers, {@code [layers, tokens, experts]} or
 * {@code [layers, batch, sequence, experts]}.
 */
final class RouterLogitsFile implements AutoCloseable {
  private static final String HOLDS = "router logits";
  private static final Pattern NUMBERED = Pattern.compile("(.*?)(\\d{1,9})(\\D*)");

  private final Path path;
  private final List<Part> layers; // one a layer, all of one shape
  private final long[] first; // element at which a layer begins in its tensor
  private final List<Long> axes; // of a layer
  private final List<Closeable> open; // in the order in which they are closed

  /** A tensor and the file that it is in. */
  private record Part(TensorFile file, Tensor tensor) {
    String name() {
      return tensor.name();
    }

    List<Long> shape() {
      return tensor.shape();
    }
  }

  private RouterLogitsFile(
      Path path, List<Part> layers, long[] first, List<Long> axes, List<Closeable> open) {
    this.path = path;
    this.layers = layers;
    this.first = first;
    this.axes = axes;
    this.open = open;
  }

  static RouterLogitsFile open(Path path, Optional<String> prefix) {
    List<Closeable> open = new ArrayList<>();
    try {
      boolean npy = NpyFile.hasMagic(path);
      List<Part> parts = parts(path, npy, open);
      List<Part> chosen = new ArrayList<>();
      for (Part part : parts) {
        if (prefix.isEmpty() || part.name().startsWith(prefix.get())) {
          chosen.add(part);
        }
      }

      if (chosen.isEmpty()) {
        throw new TraceFormatException(
            "Cannot read router logits from %s: none of its tensors %s begins with '%s'"
                .formatted(path, names(parts), prefix.orElse("")));
      }

      RouterLogitsFile logits =
          chosen.size() == 1 && (npy || chosen.get(0).shape().size() == 4 || isStacked(chosen))
              ? stacked(path, chosen.get(0), open)
              : layered(path, chosen, open);
      logits.check();
      return logits;
    } catch (IOException e) {
      Closing.quietly(open);
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    } catch (RuntimeException e) {
      Closing.quietly(open);
      throw e;
    }
  }

  /** Whether every token is as near as the first: not so in what is compressed. */
  static boolean isRandomAccess(Path path) {
    if (InputFiles.isCompressed(path)) {
      return false;
    }

    if (!ZipArchive.isArchive(path)) {
      return true;
    }

    try (ZipArchive archive = ZipArchive.open(path)) {
      return archive.names().stream().allMatch(archive::isStored);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  /** The tensors of a file by name; what was opened for them is put before what it needs. */
  private static List<Part> parts(Path path, boolean npy, List<Closeable> open) throws IOException {
    List<Part> parts = new ArrayList<>();
    if (!npy && ZipArchive.isArchive(path)) {
      ZipArchive archive = ZipArchive.open(path);
      open.add(archive);
      for (String member : archive.names()) {
        if (!member.endsWith(TensorFile.NPY)) {
          throw new TraceFormatException(
              "Cannot read router logits from %s: it has a member %s, expected arrays"
                  .formatted(path, ZipArchive.printable(member)));
        }

        TensorFile file = TensorFile.openMember(path, archive, member, HOLDS);
        open.add(0, file);
        file.tensors().values().forEach(tensor -> parts.add(new Part(file, tensor)));
      }
    } else {
      TensorFile file = npy ? TensorFile.openNpy(path, HOLDS) : TensorFile.openSafetensors(path);
      open.add(file);
      file.tensors().values().forEach(tensor -> parts.add(new Part(file, tensor)));
    }

    return parts;
  }

  /**
   * A single tensor of three axes is all layers, unless a number in its name says which one. {@code
   * arr_0} is what numpy calls an array without a name.
   */
  private static boolean isStacked(List<Part> only) {
    return only.get(0).shape().size() == 3
        && (only.get(0).name().equals("arr_0") || !NUMBERED.matcher(only.get(0).name()).matches());
  }

  private static RouterLogitsFile stacked(Path path, Part part, List<Closeable> open) {
    List<Long> shape = part.shape();
    if (shape.size() != 3 && shape.size() != 4) {
      throw new TraceFormatException(
          "Invalid shape %s of router logits in %s: expected [layers, tokens, experts] or [layers, batch, sequence, experts]"
              .formatted(shape, path));
    }

    if (shape.get(0) < 1 || shape.get(0) > ModelShape.MAX_EXPERTS) {
      throw new TraceFormatException(
          "Invalid shape %s of router logits in %s: %d layers, 1 to %d"
              .formatted(shape, path, shape.get(0), ModelShape.MAX_EXPERTS));
    }

    int count = (int) (long) shape.get(0);
    List<Part> layers = new ArrayList<>();
    long[] first = new long[count];
    for (int layer = 0; layer < count; layer++) {
      layers.add(part);
      first[layer] = part.tensor().elements() / count * layer;
    }

    return new RouterLogitsFile(path, layers, first, shape.subList(1, shape.size()), open);
  }

  private static RouterLogitsFile layered(Path path, List<Part> chosen, List<Closeable> open) {
    Map<Integer, Part> byNumber = new TreeMap<>();
    Map<String, String> families = new TreeMap<>();
    for (Part tensor : chosen) {
      Matcher name = NUMBERED.matcher(tensor.name());
      if (!name.matches()) {
        throw new TraceFormatException(
            "Cannot tell the layer of tensor %s in %s: its name holds no number. Maybe choose tensors with --format-option tensors=PREFIX"
                .formatted(tensor.name(), path));
      }

      families.put(name.group(1) + "N" + name.group(3), tensor.name());
      byNumber.put(Integer.parseInt(name.group(2)), tensor);
    }

    if (families.size() > 1 || byNumber.size() != chosen.size()) {
      throw new TraceFormatException(
          "Cannot tell which tensors of %s are router logits: there are %s. Maybe choose with --format-option tensors=PREFIX"
              .formatted(path, shorten(families.keySet())));
    }

    List<Part> layers = List.copyOf(byNumber.values());
    for (Part layer : layers) {
      if (!layer.shape().equals(layers.get(0).shape())) {
        throw new TraceFormatException(
            "Invalid shape of tensor %s in %s: %s, but %s has %s"
                .formatted(
                    layer.name(),
                    path,
                    layer.shape(),
                    layers.get(0).name(),
                    layers.get(0).shape()));
      }
    }

    return new RouterLogitsFile(path, layers, new long[layers.size()], layers.get(0).shape(), open);
  }

  private static String names(List<Part> parts) {
    return shorten(parts.stream().map(Part::name).toList());
  }

  private static String shorten(Collection<String> names) {
    return ZipArchive.printable(new TreeSet<>(names).toString());
  }

  private void check() {
    long experts = axes.get(axes.size() - 1);
    if ((axes.size() != 2 && axes.size() != 3) || experts < 1 || experts > ModelShape.MAX_EXPERTS) {
      throw new TraceFormatException(
          "Invalid shape %s of the router logits of a layer in %s: expected [tokens, experts] or [batch, sequence, experts], 1 to %d experts"
              .formatted(axes, path, ModelShape.MAX_EXPERTS));
    }

    for (Part layer : layers) {
      if (!layer.tensor().type().floating) {
        throw new TraceFormatException(
            "Cannot read router logits from %s: tensor '%s' is %s, expected floating-point numbers"
                .formatted(path, layer.name(), layer.tensor().type()));
      }
    }
  }

  Path path() {
    return path;
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
    Part part = layers.get(layer);
    part.file()
        .readFloats(
            part.tensor(),
            first[layer] + firstToken * experts(),
            Math.multiplyExact(count, experts()),
            into,
            0);
  }

  @Override
  public void close() {
    Closing.quietly(open);
  }
}
