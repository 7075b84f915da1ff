package io.expertatlas.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class FormatOptionsTest {
  private enum Layout {
    ALL_LAYERS,
    MOE_LAYERS
  }

  private static final FormatOption<Integer> TOP_K = FormatOption.integer("top-k", 1, "Choices.");
  private static final FormatOption<Layout> LAYOUT =
      FormatOption.choice("layout", Layout.class, "Layers.");
  private static final FormatOption<int[]> DENSE =
      FormatOption.integers("dense-layers", "Layers without experts.");
  private static final FormatOption<String> COLUMN = FormatOption.text("column", "A name.");
  private static final List<FormatOption<?>> KNOWN = List.of(TOP_K, LAYOUT, DENSE, COLUMN);

  private static FormatOptions options(String... entries) {
    return FormatOptions.parse(List.of(entries));
  }

  @Test
  void valuesAreTyped() {
    FormatOptions options =
        options("top-k=8", "layout=moe-layers", "dense-layers=0,5:8,6", "column=a=b");

    options.check("f", KNOWN);
    assertThat(options.find(TOP_K)).contains(8);
    assertThat(options.find(LAYOUT)).contains(Layout.MOE_LAYERS);
    assertThat(options.find(DENSE).orElseThrow()).containsExactly(0, 5, 6, 7);
    assertThat(options.find(COLUMN)).contains("a=b");
    assertThat(options("dense-layers=none").find(DENSE).orElseThrow()).isEmpty();
    assertThat(FormatOptions.NONE.find(TOP_K)).isEmpty();
  }

  @Test
  void entriesAreParsedAgain() {
    FormatOptions options = options("layout=moe-layers", "column=");

    assertThat(options.entries()).containsExactly("column=", "layout=moe-layers");
    assertThat(FormatOptions.parse(options.entries())).isEqualTo(options);
  }

  @Test
  void anUnknownKeyNamesTheKnownOnes() {
    assertThatThrownBy(() -> options("topk=8").check("vllm", KNOWN))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Unknown option of format vllm: topk, known are top-k, layout, dense-layers, column");
    assertThatThrownBy(() -> options("topk=8").check("npy", List.of()))
        .hasMessage("Unknown option of format npy: topk, it has none");
  }

  @Test
  void aWrongValueNamesTheRightOnes() {
    assertThatThrownBy(() -> options("top-k=0").check("vllm", KNOWN))
        .hasMessage(
            "Invalid value of format option top-k: '0', expected a whole number of at least 1");
    assertThatThrownBy(() -> options("layout=x").check("vllm", KNOWN))
        .hasMessage(
            "Invalid value of format option layout: 'x', expected one of all-layers, moe-layers");
    for (String wrong : List.of("", "a", "3:3", "3:1", "-1", "1,,2", "0:99999999")) {
      assertThatThrownBy(() -> options("dense-layers=" + wrong).check("vllm", KNOWN))
          .hasMessageStartingWith("Invalid value of format option dense-layers: '" + wrong + "'");
    }
  }

  @Test
  void whatIsNoOptionIsRefused() {
    assertThatThrownBy(() -> options("top-k"))
        .hasMessage("Invalid format option: 'top-k', expected KEY=VALUE");
    assertThatThrownBy(() -> options("=8")).hasMessageContaining("expected KEY=VALUE");
    assertThatThrownBy(() -> options("k=8", "k=9"))
        .hasMessage("Invalid format options: k is given twice");
  }

  @Test
  void aMissingFactNamesItsOption() {
    assertThatThrownBy(() -> FormatOptions.NONE.require(TOP_K, "dump.json"))
        .hasMessage(
            "Missing top k of dump.json: the file does not say it. Maybe add --format-option top-k=..., a whole number of at least 1");
  }
}
