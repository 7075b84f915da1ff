package io.expertatlas.trace.format;

import java.nio.ByteOrder;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The element type of an {@code .npy} file.
 *
 * @param kind what an element is
 * @param size bytes of an element
 * @param order byte order of an element
 */
record NpyType(Kind kind, int size, ByteOrder order) {
  private static final Pattern NUMBER = Pattern.compile("([<>|])([iuf])(\\d{1,2})");
  private static final Pattern LETTER = Pattern.compile("[<>|=]?([a-zA-Z?]).*", Pattern.DOTALL);

  private static final Map<String, String> OTHERS =
      new TreeMap<>(
          Map.of(
              "b", "truth values",
              "?", "truth values",
              "O", "Python objects",
              "S", "byte strings",
              "a", "byte strings",
              "U", "text",
              "c", "complex numbers",
              "V", "structures",
              "M", "dates",
              "m", "durations"));

  /** What an element is. */
  enum Kind {
    SIGNED("signed integers"),
    UNSIGNED("unsigned integers"),
    FLOATING("floating-point numbers");

    private final String words;

    Kind(String words) {
      this.words = words;
    }

    @Override
    public String toString() {
      return words;
    }
  }

  /** The type that a header's {@code descr} names, or empty if it is no plain number. */
  static Optional<NpyType> parse(String descr) {
    Matcher matcher = NUMBER.matcher(descr);
    if (!matcher.matches()) {
      return Optional.empty();
    }

    Kind kind =
        switch (matcher.group(2)) {
          case "i" -> Kind.SIGNED;
          case "u" -> Kind.UNSIGNED;
          default -> Kind.FLOATING;
        };
    int size = Integer.parseInt(matcher.group(3));
    boolean sized =
        switch (size) {
          case 1 -> kind != Kind.FLOATING;
          case 2, 4, 8 -> !matcher.group(1).equals("|");
          default -> false;
        };
    ByteOrder order = matcher.group(1).equals(">") ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
    return sized ? Optional.of(new NpyType(kind, size, order)) : Optional.empty();
  }

  /** What a {@code descr} that is no plain number stands for, in words. */
  static String describe(String descr) {
    Matcher matcher = LETTER.matcher(descr);
    if (matcher.matches() && OTHERS.containsKey(matcher.group(1))) {
      return OTHERS.get(matcher.group(1));
    }

    return "not a known type";
  }

  boolean isInteger() {
    return kind != Kind.FLOATING;
  }
}
