package io.expertatlas.placement.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ExFlowCsvTest {
  @TempDir Path folder;

  private byte[] golden(String name) throws IOException {
    try (InputStream in = ExFlowCsvTest.class.getResourceAsStream(name)) {
      return in.readAllBytes();
    }
  }

  @ParameterizedTest
  @CsvSource({"four-gpus.csv,4", "eight-gpus.csv,8"})
  void thePublishedLayoutsComeBackByteForByte(String name, int gpus) throws IOException {
    byte[] bytes = golden(name);
    Path file = Files.write(folder.resolve(name), bytes);
    Placement placement = ExFlowCsv.read(file, 32, 8, new Topology(1, gpus));
    assertThat(placement.isBalanced()).isTrue();
    Path copy = folder.resolve("copy.csv");
    ExFlowCsv.write(placement, copy);
    assertThat(Files.readAllBytes(copy)).isEqualTo(bytes);
    assertThat(new String(bytes, StandardCharsets.US_ASCII).lines().count()).isEqualTo(257);
  }

  @Test
  void theEightGpuPlanRefinesTheFourGpuPlan() throws IOException {
    Path four = Files.write(folder.resolve("4.csv"), golden("four-gpus.csv"));
    Path eight = Files.write(folder.resolve("8.csv"), golden("eight-gpus.csv"));
    Placement coarse = ExFlowCsv.read(four, 32, 8, new Topology(1, 4));
    Placement fine = ExFlowCsv.read(eight, 32, 8, new Topology(1, 8));
    for (int layer = 0; layer < 32; layer++) {
      for (int e = 0; e < 8; e++) {
        assertThat(fine.gpu(layer, e) / 2).isEqualTo(coarse.gpu(layer, e));
      }
    }
  }

  private Placement parse(String text) throws IOException {
    Path file = Files.writeString(folder.resolve("p.csv"), text);
    return ExFlowCsv.read(file, 1, 3, new Topology(1, 2));
  }

  @Test
  void anyOrderAndEitherLineEndIsRead() throws IOException {
    Placement placement = parse("Expert,Node\n2,1\n\n0 , 0\r\n1,1");
    assertThat(placement.toArray()).isEqualTo(new int[][] {{0, 1, 1}});
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "''|p.csv:1: the header is '', expected Expert,Node",
        "'Expert;Node'|p.csv:1: the header is 'Expert;Node', expected Expert,Node",
        "'Expert,Node~0,0~1,x~2,1'|p.csv:3: '1,x', expected an expert id and a GPU",
        "'Expert,Node~0,0~3,1'|p.csv:3: expert 3, 1 layers x 3 experts have 0 to 2",
        "'Expert,Node~0,2'|p.csv:2: GPU 2, the topology 1x2 has 0 to 1",
        "'Expert,Node~0,-1'|p.csv:2: GPU -1, the topology 1x2 has 0 to 1",
        "'Expert,Node~0,0~0,1'|p.csv:3: expert 0 stands in line 2 already",
        "'Expert,Node~0,0~2,1'|p.csv:3: the file ends without a row for expert 1 (layer 0, expert 1), one of 1 missing",
        "'Expert,Node~99999999999,0'|p.csv:2: '99999999999,0', expected an expert id and a GPU"
      })
  void everyProblemIsNamed(String text, String message) {
    String content = text.substring(1, text.length() - 1).replace('~', '\n');
    assertThatThrownBy(() -> parse(content))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage("Cannot read " + folder + "/" + message);
  }

  @Test
  void fileNamesHoldTheCosts() {
    assertThat(name(1, 2, new int[][] {{0, 1, 1, 0}, {1, 1, 0, 0}, {0, 0, 1, 1}}))
        .isEqualTo("solution_intra2_inter1_cost0.24999999875_cintra0.24999999875_cinter0.csv");
    assertThat(name(2, 2, new int[][] {{0, 2, 3, 1}, {3, 2, 0, 1}, {1, 0, 2, 3}}))
        .isEqualTo(
            "solution_intra2_inter2_cost0.999999995_cintra0.4999999975_cinter0.124999999375.csv");
  }

  private static String name(int nodes, int perNode, int[][] map) {
    return ExFlowCsv.fileName(
        PlacementCost.of(
            Routes.count(Routes.CASE_A), new Placement(new Topology(nodes, perNode), map)));
  }

  @ParameterizedTest
  @CsvSource({
    "0.1,0.1",
    "1,1.0",
    "0.0001,0.0001",
    "0.00001,1e-05",
    "0.000012345,1.2345e-05",
    "1e15,1000000000000000.0",
    "9999999999999998,9999999999999998.0",
    "1e16,1e+16",
    "1.5e300,1.5e+300",
    "2e-3,0.002",
    "2.0E-3,0.002",
    "1e23,1e+23",
    "4.9E-324,5e-324",
    "2.2250738585072014E-308,2.2250738585072014e-308",
    "1.7976931348623157E308,1.7976931348623157e+308",
    "5.684341886080802E-14,5.684341886080802e-14",
    "17.495347692691237,17.495347692691237",
    "3.166573386413847,3.166573386413847",
    "0.30000000000000004,0.30000000000000004",
    "-2.5,-2.5",
    "0,0.0",
    "-0.0,-0.0"
  })
  void doublesPrintAsPythonPrintsThem(double value, String text) {
    assertThat(PythonNumbers.repr(value)).isEqualTo(text);
  }

  @Test
  void powersOfTwoReadBack() {
    for (int exponent = -1074; exponent < 1024; exponent++) {
      double value = Math.scalb(1.0, exponent);
      String text = PythonNumbers.repr(value);
      assertThat(Double.parseDouble(text)).isEqualTo(value);
      assertThat(text.length()).isLessThanOrEqualTo(Double.toString(value).length() + 16);
    }

    assertThat(PythonNumbers.repr(Math.scalb(1.0, -44))).isEqualTo("5.684341886080802e-14");
    assertThat(PythonNumbers.repr(Double.NaN)).isEqualTo("nan");
    assertThat(PythonNumbers.repr(Double.NEGATIVE_INFINITY)).isEqualTo("-inf");
  }

  @Test
  void copiesHaveNoPlaceInIt() {
    Placement copies = Placement.ofCopies(new Topology(1, 2), new int[][][] {{{0, 1}}});
    Path file = folder.resolve("p.csv");
    assertThatThrownBy(() -> ExFlowCsv.write(copies, file))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage(
            "Cannot write %s: ExFlow's csv has one GPU for each expert, and the placement has copies"
                .formatted(file));
    assertThat(file).doesNotExist();
  }
}
