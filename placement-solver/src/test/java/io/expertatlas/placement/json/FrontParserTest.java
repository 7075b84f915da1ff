package io.expertatlas.placement.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.solver.Front;
import io.expertatlas.placement.solver.Front.Costs;
import io.expertatlas.placement.solver.Front.Point;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FrontParserTest {
  @TempDir private Path folder;

  private static final Front FRONT =
      new Front(
          "A on 1x4",
          Objective.HOPS,
          Objective.LOAD,
          new Costs(17, 16, 3, 1.5, 1.2, 1.4),
          List.of(
              new Point(1.1, new Costs(8, 8, 2, 1.25, 1.1, 1.2), 7.5, 0.25, "point-1.json"),
              new Point(
                  Double.POSITIVE_INFINITY,
                  new Costs(6, 6, 2, 1.125, 1.5, 1.75),
                  5.5,
                  0.5,
                  "point-2.json")));

  @Test
  void everythingComesBack() throws IOException {
    Path file = folder.resolve("front.json");
    Files.writeString(file, FrontParser.toJson(FRONT).toString());
    assertThat(FrontParser.read(file)).isEqualTo(FRONT);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"format-version\":1|\"format-version\":3|format-version is 3, expected 1",
        "\"points\":|\"dots\":|points is missing",
        "\"hops\":8.0|\"hops\":\"8\"|hops is \"8\", expected a number",
        "\"capped\":\"load\"|\"capped\":\"weight\"|Invalid objective: weight, one of hops, crossings, fanout, load, copies",
        "\"cap\":1.1|\"cap\":null|cap is null"
      })
  void whatIsWrongIsNamed(String found, String replacement, String message) throws IOException {
    String json = FrontParser.toJson(FRONT).toString();
    assertThat(json).contains(found);
    Path file = folder.resolve("f.json");
    Files.writeString(file, json.replace(found, replacement));
    assertThatThrownBy(() -> FrontParser.read(file))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage("Cannot read " + file + ": " + message);
  }

  @Test
  void whatIsNoJsonIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("f.json"), "{\n\"a\" }");
    assertThatThrownBy(() -> FrontParser.read(file))
        .hasMessage("Cannot read " + file + ": not JSON at line 2");
    Files.writeString(file, "[]");
    assertThatThrownBy(() -> FrontParser.read(file))
        .hasMessage("Cannot read " + file + ": not a JSON object");
    Files.write(file, new byte[] {(byte) 0xff});
    assertThatThrownBy(() -> FrontParser.read(file))
        .hasMessage("Cannot read " + file + ": not UTF-8");
  }
}
