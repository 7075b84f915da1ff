package io.expertatlas.trace.spark;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/** Reads typed options and collects what is wrong with them, to say it all at once. */
final class SparkTraceConfParser {
  private final CaseInsensitiveStringMap options;
  private final List<String> problems = new ArrayList<>();

  /**
   * Checks the keys.
   *
   * @param known keys that are read
   * @param ignored keys that may stand there, because read and write share their Spark SQL confs
   */
  SparkTraceConfParser(CaseInsensitiveStringMap options, List<String> known, Set<String> ignored) {
    this.options = options;
    for (Map.Entry<String, String> entry : options.entrySet()) {
      String key = entry.getKey();
      if (!known.contains(key) && !ignored.contains(key) && prefixOf(key, known).isEmpty()) {
        problems.add("unknown option '%s', known are %s".formatted(key, new TreeSet<>(known)));
      }
    }
  }

  /** The key that ends with a dot and starts the given one, if any. */
  private static Optional<String> prefixOf(String key, List<String> known) {
    return known.stream().filter(k -> k.endsWith(".") && key.startsWith(k)).findFirst();
  }

  /** The options whose keys start with a prefix, as {@code KEY=VALUE} without it. */
  List<String> entries(String prefix) {
    List<String> entries = new ArrayList<>();
    for (Map.Entry<String, String> entry : new TreeMap<>(options).entrySet()) {
      if (entry.getKey().startsWith(prefix)) {
        entries.add(entry.getKey().substring(prefix.length()) + "=" + entry.getValue());
      }
    }

    return entries;
  }

  String text(String key, String byDefault) {
    return options.getOrDefault(key, byDefault).strip();
  }

  String required(String key) {
    String value = text(key, "");
    if (value.isEmpty()) {
      problems.add("missing option '%s'".formatted(key));
    }

    return value;
  }

  /** A whole number in a range, or empty if the option is absent. */
  OptionalLong number(String key, long min, long max) {
    String value = text(key, "");
    if (value.isEmpty()) {
      return OptionalLong.empty();
    }

    try {
      long number = Long.parseLong(value);
      if (number >= min && number <= max) {
        return OptionalLong.of(number);
      }
    } catch (NumberFormatException e) {
      // said below
    }

    problems.add(
        "option '%s' is '%s', expected a whole number from %d to %d"
            .formatted(key, value, min, max));
    return OptionalLong.empty();
  }

  /** A value of another form; what the parser throws as IllegalArgumentException is a problem. */
  <T> T parsed(String key, String byDefault, Function<String, T> parser) {
    try {
      return parser.apply(text(key, byDefault));
    } catch (IllegalArgumentException e) {
      problems.add("option '%s': %s".formatted(key, e.getMessage()));
      return parser.apply(byDefault);
    }
  }

  void problem(String text) {
    problems.add(text);
  }

  /**
   * Says all problems.
   *
   * @throws IllegalArgumentException if there are any
   */
  void end(String action) {
    if (!problems.isEmpty()) {
      throw new IllegalArgumentException(
          "Cannot %s: %s".formatted(action, String.join("; ", problems)));
    }
  }
}
