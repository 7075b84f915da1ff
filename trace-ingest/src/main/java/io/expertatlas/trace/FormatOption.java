package io.expertatlas.trace;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A fact about a dump that one format wants to be told, such as a top-k that its files do not hold:
 * {@code --format-option KEY=VALUE}.
 *
 * @param <T> type of its value
 * @param key kebab-case
 * @param values which values there are, in words, for messages
 * @param description what it says, one sentence
 * @param parser text to value; throws {@link IllegalArgumentException} for what is none
 */
public record FormatOption<T>(
    String key, String values, String description, Function<String, T> parser) {
  /**
   * Checks the key.
   *
   * @throws IllegalArgumentException if the key is not kebab-case
   */
  public FormatOption {
    Objects.requireNonNull(values, "values is null");
    Objects.requireNonNull(description, "description is null");
    Objects.requireNonNull(parser, "parser is null");
    if (!key.matches("[a-z0-9]+(-[a-z0-9]+)*")) {
      throw new IllegalArgumentException(
          "Invalid key of a format option: %s, lower-case words joined by -".formatted(key));
    }
  }

  /** An option whose value is a whole number of at least {@code min}. */
  public static FormatOption<Integer> integer(String key, int min, String description) {
    return new FormatOption<>(
        key,
        "a whole number of at least " + min,
        description,
        text -> {
          int value = Integer.parseInt(text);
          if (value < min) {
            throw new IllegalArgumentException(text);
          }

          return value;
        });
  }

  /** An option whose value is any text. */
  public static FormatOption<String> text(String key, String description) {
    return new FormatOption<>(key, "text", description, text -> text);
  }

  /** An option whose value is a constant of an enum, written in kebab-case. */
  public static <E extends Enum<E>> FormatOption<E> choice(
      String key, Class<E> type, String description) {
    List<E> constants = List.of(type.getEnumConstants());
    return new FormatOption<>(
        key,
        constants.stream().map(FormatOption::word).collect(Collectors.joining(", ", "one of ", "")),
        description,
        text ->
            constants.stream()
                .filter(constant -> word(constant).equals(text))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException(text)));
  }

  /** An option whose value is a list of whole numbers, such as {@code 0,2,5:8} (8 is excluded). */
  public static FormatOption<int[]> integers(String key, String description) {
    return new FormatOption<>(
        key,
        "whole numbers and ranges FROM:TO (TO is excluded), separated by commas, or none",
        description,
        text -> {
          if (text.equals("none")) {
            return new int[0];
          }

          return Arrays.stream(text.split(",", -1))
              .flatMapToInt(FormatOption::range)
              .sorted()
              .distinct()
              .toArray();
        });
  }

  private static java.util.stream.IntStream range(String text) {
    int colon = text.indexOf(':');
    int from = Integer.parseInt(colon < 0 ? text : text.substring(0, colon));
    int to = colon < 0 ? Math.addExact(from, 1) : Integer.parseInt(text.substring(colon + 1));
    if (from < 0 || to <= from || to - from > ModelShape.MAX_EXPERTS) {
      throw new IllegalArgumentException(text);
    }

    return java.util.stream.IntStream.range(from, to);
  }

  private static String word(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * Turns the text of an option into its value.
   *
   * @throws TraceFormatException if it is none
   */
  T parse(String text) {
    try {
      return parser.apply(text);
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw new TraceFormatException(
          "Invalid value of format option %s: '%s', expected %s".formatted(key, text, values), e);
    }
  }
}
