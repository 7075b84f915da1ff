package io.expertatlas.placement.format;

import io.expertatlas.affinity.Popularity;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;
import org.yaml.snakeyaml.nodes.MappingNode;
import org.yaml.snakeyaml.nodes.Node;
import org.yaml.snakeyaml.nodes.NodeTuple;
import org.yaml.snakeyaml.nodes.ScalarNode;
import org.yaml.snakeyaml.nodes.SequenceNode;

/**
 * TensorRT-LLM's load balancer plan, YAML with strict keys: {@code num_slots}, {@code
 * initial_global_assignments} from the number of a model layer to the expert of each slot, and
 * {@code layer_updates_per_iter}, 0 for a plan that stays. A layer that the engine looks for and
 * does not find stops it, so layers for multi-token prediction get a row even if nothing is placed
 * there.
 */
final class TrtllmPlan implements PlacementFormat {
  private static final String SLOTS = "num_slots";
  static final String ROWS = "initial_global_assignments";
  private static final String UPDATES = "layer_updates_per_iter";
  private static final int LARGEST_FILE = 1 << 28;

  @Override
  public String name() {
    return "trtllm";
  }

  @Override
  public String fileName() {
    return "trtllm.yaml";
  }

  @Override
  public String loading() {
    return "moe_config.load_balancer, with attention data parallelism: " + fileName();
  }

  @Override
  public void check(int experts, int slots, Topology topology) {
    Slots.check(name(), slots, topology);
  }

  @Override
  public byte[] bytes(Placement placement, LayerRows layers, Popularity popularity) {
    TreeMap<Integer, int[]> rows = new TreeMap<>();
    for (int mtp = 0; mtp < layers.mtpLayers(); mtp++) {
      rows.put(layers.hiddenLayers() + mtp, Slots.filler(placement));
    }

    for (int layer = 0; layer < placement.layers(); layer++) {
      rows.put(layers.modelLayer(layer), Slots.ofLayer(name(), placement, layer));
    }

    StringBuilder text = new StringBuilder();
    text.append(SLOTS).append(": ").append(placement.slots(0)).append('\n');
    text.append(ROWS).append(":\n");
    rows.forEach(
        (layer, slots) ->
            text.append("  ")
                .append(layer)
                .append(": [")
                .append(
                    Arrays.stream(slots)
                        .mapToObj(Integer::toString)
                        .collect(Collectors.joining(", ")))
                .append("]\n"));
    text.append(UPDATES).append(": 0\n");
    return text.toString().getBytes(StandardCharsets.US_ASCII);
  }

  @Override
  public Placement read(Path file, LayerRows layers, int experts, Topology topology)
      throws IOException {
    Node root = compose(file, JsonFile.text(file));
    int slots = -1;
    Node rows = null;
    for (NodeTuple tuple : mapping(file, root, "the file")) {
      String key = scalar(file, tuple.getKeyNode());
      switch (key) {
        case SLOTS -> slots = whole(file, tuple.getValueNode(), SLOTS, 1, 1 << 20);
        case ROWS -> rows = tuple.getValueNode();
        case UPDATES -> whole(file, tuple.getValueNode(), UPDATES, 0, 1 << 20);
        default ->
            throw problem(
                file,
                tuple.getKeyNode(),
                "%s is no key of this format, which has %s, %s, %s"
                    .formatted(key, SLOTS, ROWS, UPDATES));
      }
    }

    if (slots < 0 || rows == null) {
      throw problem(file, root, "%s is missing".formatted(rows == null ? ROWS : SLOTS));
    }

    return placement(file, rows, slots, layers, experts, topology);
  }

  private static Placement placement(
      Path file, Node rows, int slots, LayerRows layers, int experts, Topology topology) {
    int[][][] gpus = new int[layers.layers()][][];
    for (NodeTuple tuple : mapping(file, rows, ROWS)) {
      int modelLayer = whole(file, tuple.getKeyNode(), "the layer", 0, 1 << 20);
      int layer = layers.layerAt(modelLayer);
      int[] row = experts(file, tuple.getValueNode(), modelLayer, experts);
      String where = "%s:%d: layer %d".formatted(file, line(tuple.getKeyNode()), modelLayer);
      if (row.length != slots) {
        throw problem(
            file,
            tuple.getValueNode(),
            "layer %d has %d slots, %s is %d".formatted(modelLayer, row.length, SLOTS, slots));
      }

      boolean mtp =
          modelLayer >= layers.hiddenLayers()
              && modelLayer < layers.hiddenLayers() + layers.mtpLayers();
      if (layer < 0 && !mtp) {
        throw problem(
            file,
            tuple.getKeyNode(),
            "layer %d is none of the MoE layers, %s".formatted(modelLayer, expected(layers)));
      }

      if (layer < 0) {
        Slots.checkRow(row, experts, topology.gpus(), where);
      } else {
        gpus[layer] = Slots.gpus(row, experts, topology.gpus(), where);
      }
    }

    for (int layer = 0; layer < gpus.length; layer++) {
      if (gpus[layer] == null) {
        throw problem(
            file,
            rows,
            "layer %d is missing, %s".formatted(layers.modelLayer(layer), expected(layers)));
      }
    }

    return Slots.placement(file, topology, gpus);
  }

  private static String expected(LayerRows layers) {
    return "%d of them from %d to %d%s"
        .formatted(
            layers.layers(),
            layers.modelLayer(0),
            layers.modelLayer(layers.layers() - 1),
            layers.isKnown()
                ? ""
                : ". Maybe give --model-config: it says which model layers they are");
  }

  private static Node compose(Path file, String text) {
    LoaderOptions options = new LoaderOptions();
    options.setCodePointLimit(LARGEST_FILE);
    try {
      Node root = new Yaml(new SafeConstructor(options)).compose(new StringReader(text));
      if (root == null) {
        throw new PlacementFormatException("Cannot read %s:1: the file is empty".formatted(file));
      }

      return root;
    } catch (MarkedYAMLException e) {
      int line = e.getProblemMark() == null ? 1 : e.getProblemMark().getLine() + 1;
      throw new PlacementFormatException(
          "Cannot read %s:%d: not YAML: %s".formatted(file, line, e.getProblem()), e);
    } catch (YAMLException e) {
      throw new PlacementFormatException(
          "Cannot read %s: not YAML: %s"
              .formatted(file, e.getMessage().lines().findFirst().orElse("")),
          e);
    }
  }

  private static List<NodeTuple> mapping(Path file, Node node, String what) {
    if (!(node instanceof MappingNode map)) {
      throw problem(file, node, "%s is no mapping".formatted(what));
    }

    List<String> keys = new ArrayList<>();
    for (NodeTuple tuple : map.getValue()) {
      String key = scalar(file, tuple.getKeyNode());
      if (keys.contains(key)) {
        throw problem(file, tuple.getKeyNode(), "the key %s stands twice".formatted(key));
      }

      keys.add(key);
    }

    return map.getValue();
  }

  private static int[] experts(Path file, Node node, int modelLayer, int experts) {
    if (!(node instanceof SequenceNode list)) {
      throw problem(file, node, "layer %d has no list of experts".formatted(modelLayer));
    }

    int[] row = new int[list.getValue().size()];
    for (int slot = 0; slot < row.length; slot++) {
      row[slot] =
          whole(
              file,
              list.getValue().get(slot),
              "slot %d of layer %d".formatted(slot, modelLayer),
              0,
              experts - 1);
    }

    return row;
  }

  private static String scalar(Path file, Node node) {
    if (!(node instanceof ScalarNode scalar)) {
      throw problem(file, node, "expected one value");
    }

    return scalar.getValue();
  }

  private static int whole(Path file, Node node, String what, int least, int most) {
    String value = scalar(file, node);
    if (!value.matches("\\d{1,9}")
        || Integer.parseInt(value) < least
        || Integer.parseInt(value) > most) {
      throw problem(
          file,
          node,
          "%s is %s, expected a whole number, %d to %d".formatted(what, value, least, most));
    }

    return Integer.parseInt(value);
  }

  private static int line(Node node) {
    return node.getStartMark().getLine() + 1;
  }

  private static PlacementFormatException problem(Path file, Node node, String what) {
    return new PlacementFormatException("Cannot read %s:%d: %s".formatted(file, line(node), what));
  }
}
