package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.sim.MemoryNeed;
import io.expertatlas.trace.terminal.Terminal;
import java.math.BigDecimal;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;

/** A number of bytes as people write it: {@code 80GB}, {@code 1.5GiB}, {@code 4096}. */
final class ByteSize {
  private static final Pattern FORM = Pattern.compile("(\\d{1,15}(?:\\.\\d{1,3})?)\\s?([A-Za-z]*)");
  private static final Map<String, Long> UNITS =
      Map.of(
          "",
          1L,
          "B",
          1L,
          "KB",
          1000L,
          "MB",
          1_000_000L,
          "GB",
          1_000_000_000L,
          "KIB",
          1L << 10,
          "MIB",
          1L << 20,
          "GIB",
          1L << 30);

  private ByteSize() {}

  /**
   * Reads a size.
   *
   * @throws IllegalArgumentException if it is none, or not at least one byte
   */
  static long parse(String text) {
    Matcher form = FORM.matcher(text);
    Long unit = form.matches() ? UNITS.get(form.group(2).toUpperCase(Locale.ROOT)) : null;
    BigDecimal bytes =
        unit == null
            ? BigDecimal.ZERO
            : new BigDecimal(form.group(1)).multiply(BigDecimal.valueOf(unit));
    if (bytes.compareTo(BigDecimal.ONE) < 0
        || bytes.compareTo(BigDecimal.valueOf(Long.MAX_VALUE)) >= 0) {
      throw new IllegalArgumentException(
          "Invalid size: %s, expected bytes, as in 80GB, 1.5GiB or 4096".formatted(text));
    }

    return bytes.longValue();
  }

  /** In GB, as {@link MemoryNeed#gigabytes} rounds them. */
  static String show(long bytes) {
    return "%.2f GB".formatted(MemoryNeed.gigabytes(bytes));
  }

  /** For picocli. */
  static final class Converter implements ITypeConverter<Long> {
    @Override
    public Long convert(String value) {
      return Terminal.option(() -> parse(value));
    }
  }
}
