package io.expertatlas.placement.format;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A placement as ExFlow writes it: the header {@code Expert,Node}, then a row {@code
 * layer*experts+expert,gpu} for each expert, in that order; every line ends with CRLF. The column
 * called Node holds the GPU.
 *
 * <p>The reader takes the rows in any order, with LF or CRLF, and wants every expert exactly once.
 */
public final class ExFlowCsv {
  private static final String HEADER = "Expert,Node";
  private static final Pattern ROW = Pattern.compile("\\s*(\\d{1,9})\\s*,\\s*(-?\\d{1,9})\\s*");

  private ExFlowCsv() {}

  /**
   * Reads a file.
   *
   * @param layers MoE layers of the model; the file does not say them
   * @param experts experts in each layer
   * @throws PlacementFormatException if the header or a row is of another form, or an expert is
   *     missing, unknown, placed twice or on a GPU that is not in the topology; with file and line
   * @throws IOException if it cannot be read
   */
  public static Placement read(Path file, int layers, int experts, Topology topology)
      throws IOException {
    int total = Math.multiplyExact(layers, experts);
    int[] lineOf = new int[total]; // [global id], 0 until placed
    int[][] gpu = new int[layers][experts];
    try (BufferedReader reader = Files.newBufferedReader(file, StandardCharsets.ISO_8859_1)) {
      String header = reader.readLine();
      if (header == null || !header.strip().equals(HEADER)) {
        throw problem(file, 1, "the header is '%s', expected %s".formatted(shown(header), HEADER));
      }

      int number = 1;
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        number++;
        if (line.isBlank()) {
          continue;
        }

        Matcher row = ROW.matcher(line);
        if (!row.matches()) {
          throw problem(
              file, number, "'%s', expected an expert id and a GPU".formatted(shown(line)));
        }

        int expert = Integer.parseInt(row.group(1));
        int place = Integer.parseInt(row.group(2));
        if (expert >= total) {
          throw problem(
              file,
              number,
              "expert %d, %d layers x %d experts have 0 to %d"
                  .formatted(expert, layers, experts, total - 1));
        }

        if (place < 0 || place >= topology.gpus()) {
          throw problem(
              file,
              number,
              "GPU %d, the topology %s has 0 to %d"
                  .formatted(place, topology, topology.gpus() - 1));
        }

        if (lineOf[expert] != 0) {
          throw problem(
              file,
              number,
              "expert %d stands in line %d already".formatted(expert, lineOf[expert]));
        }

        lineOf[expert] = number;
        gpu[expert / experts][expert % experts] = place;
      }

      for (int expert = 0; expert < total; expert++) {
        if (lineOf[expert] == 0) {
          throw problem(
              file,
              number,
              "the file ends without a row for expert %d (layer %d, expert %d), one of %d missing"
                  .formatted(
                      expert,
                      expert / experts,
                      expert % experts,
                      Arrays.stream(lineOf).filter(at -> at == 0).count()));
        }
      }
    }

    return new Placement(topology, gpu);
  }

  /**
   * Writes a file, byte for byte as ExFlow does; one that exists is replaced.
   *
   * @throws PlacementFormatException if an expert has several copies: the format has one GPU each
   */
  public static void write(Placement placement, Path file) throws IOException {
    if (placement.hasCopies()) {
      throw new PlacementFormatException(
          "Cannot write %s: ExFlow's csv has one GPU for each expert, and the placement has copies"
              .formatted(file));
    }

    StringBuilder text = new StringBuilder(HEADER).append("\r\n");
    for (int layer = 0; layer < placement.layers(); layer++) {
      for (int expert = 0; expert < placement.experts(); expert++) {
        text.append(layer * placement.experts() + expert)
            .append(',')
            .append(placement.gpu(layer, expert))
            .append("\r\n");
      }
    }

    Files.writeString(file, text, StandardCharsets.US_ASCII);
  }

  /**
   * The name that ExFlow gives its file: the cluster and the costs on the tokens it solved for.
   *
   * @throws PlacementFormatException if the nodes are not equal, which such a name cannot say
   */
  public static String fileName(PlacementCost cost) {
    if (!cost.topology().hasEqualNodes()) {
      throw new PlacementFormatException(
          "Cannot name a csv as ExFlow does: the nodes of %s are not equal"
              .formatted(cost.topology()));
    }

    return "solution_intra%d_inter%d_cost%s_cintra%s_cinter%s.csv"
        .formatted(
            cost.topology().gpusPerNode(),
            cost.topology().nodes(),
            PythonNumbers.repr(cost.avgCost()),
            PythonNumbers.repr(cost.avgIntra()),
            cost.topology().nodes() == 1 ? "0" : PythonNumbers.repr(cost.avgInter()));
  }

  private static String shown(String line) {
    if (line == null) {
      return "";
    }

    return line.length() <= 60 ? line.strip() : line.strip().substring(0, 57) + "...";
  }

  private static PlacementFormatException problem(Path file, int line, String what) {
    return new PlacementFormatException("Cannot read %s:%d: %s".formatted(file, line, what));
  }
}
