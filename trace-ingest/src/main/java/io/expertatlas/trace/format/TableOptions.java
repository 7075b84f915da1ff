package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.TraceFormatException;
import java.util.List;

/** The options of formats {@code csv} and {@code jsonl}: which column holds what. */
final class TableOptions {
  static final FormatOption<String> EXPERTS =
      FormatOption.text("experts-column", "Expert ids (experts).");
  static final FormatOption<String> WEIGHTS =
      FormatOption.text("weights-column", "Router weights, laid out as the ids.");
  static final FormatOption<String> SEQUENCE =
      FormatOption.text("sequence-column", "Sequence id, a whole number.");
  static final FormatOption<String> POSITION =
      FormatOption.text("position-column", "Position in the sequence.");
  static final FormatOption<String> PHASE =
      FormatOption.text("phase-column", "0 or prefill, 1 or decode.");
  static final FormatOption<String> LAYER =
      FormatOption.text("layer-column", "Layer, where a line is of one layer.");
  static final List<FormatOption<?>> OPTIONS =
      List.of(EXPERTS, WEIGHTS, SEQUENCE, POSITION, PHASE, LAYER);

  private TableOptions() {}

  /** A whole number that is not negative. */
  static int number(String text, String column, String place) {
    try {
      int value = Integer.parseInt(text.strip());
      if (value >= 0) {
        return value;
      }
    } catch (NumberFormatException e) {
      // said below
    }

    throw new TraceFormatException(
        "Invalid %s in %s: '%s', expected a whole number from 0 to %d"
            .formatted(column, place, text, Integer.MAX_VALUE));
  }

  /** A phase: its code or its name. */
  static int phase(String text, String column, String place) {
    return switch (text.strip()) {
      case "0", "prefill" -> 0;
      case "1", "decode" -> 1;
      default ->
          throw new TraceFormatException(
              "Invalid %s in %s: '%s', expected 0, 1, prefill or decode"
                  .formatted(column, place, text));
    };
  }
}
