package io.expertatlas.trace;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The {@link FormatOption options} given for a source. A format checks them against those that it
 * knows before it opens anything. Immutable.
 */
public final class FormatOptions {
  /** No option. */
  public static final FormatOptions NONE = new FormatOptions(Map.of());

  private final Map<String, String> values; // sorted by key

  private FormatOptions(Map<String, String> values) {
    this.values = new TreeMap<>(values);
  }

  /**
   * Reads options written {@code KEY=VALUE}.
   *
   * @throws IllegalArgumentException if one is not written so, or a key stands twice
   */
  public static FormatOptions parse(Collection<String> entries) {
    Map<String, String> values = new TreeMap<>();
    for (String entry : entries) {
      int sign = entry.indexOf('=');
      if (sign < 1) {
        throw new IllegalArgumentException(
            "Invalid format option: '%s', expected KEY=VALUE".formatted(entry));
      }

      String before = values.put(entry.substring(0, sign), entry.substring(sign + 1));
      if (before != null) {
        throw new IllegalArgumentException(
            "Invalid format options: %s is given twice".formatted(entry.substring(0, sign)));
      }
    }

    return values.isEmpty() ? NONE : new FormatOptions(values);
  }

  /** The options as {@code KEY=VALUE}, by key: what {@link #parse} reads. */
  public List<String> entries() {
    List<String> entries = new ArrayList<>();
    values.forEach((key, value) -> entries.add(key + "=" + value));
    return entries;
  }

  /** Whether there is none. */
  public boolean isEmpty() {
    return values.isEmpty();
  }

  /** The value of an option, or empty if it is not given. */
  public <T> Optional<T> find(FormatOption<T> option) {
    return Optional.ofNullable(values.get(option.key())).map(option::parse);
  }

  /**
   * The value of an option that the files do not say.
   *
   * @throws TraceFormatException if it is not given
   */
  public <T> T require(FormatOption<T> option, Object file) {
    return find(option)
        .orElseThrow(
            () ->
                new TraceFormatException(
                    "Missing %s of %s: the file does not say it. Maybe add --format-option %s=..., %s"
                        .formatted(
                            option.key().replace('-', ' '), file, option.key(), option.values())));
  }

  /**
   * Checks that a format knows every option, and that every value is one.
   *
   * @throws TraceFormatException naming the options that the format knows
   */
  public void check(String format, List<FormatOption<?>> known) {
    for (Map.Entry<String, String> entry : values.entrySet()) {
      FormatOption<?> option =
          known.stream()
              .filter(candidate -> candidate.key().equals(entry.getKey()))
              .findFirst()
              .orElseThrow(() -> unknown(entry.getKey(), format, known));
      option.parse(entry.getValue());
    }
  }

  private static TraceFormatException unknown(
      String key, String format, List<FormatOption<?>> known) {
    return new TraceFormatException(
        "Unknown option of format %s: %s, %s"
            .formatted(
                format,
                key,
                known.isEmpty()
                    ? "it has none"
                    : known.stream()
                        .map(FormatOption::key)
                        .collect(Collectors.joining(", ", "known are ", ""))));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof FormatOptions that && values.equals(that.values);
  }

  @Override
  public int hashCode() {
    return values.hashCode();
  }

  @Override
  public String toString() {
    return String.join(" ", entries());
  }
}
