package io.expertatlas.trace.format;

import io.expertatlas.trace.TraceFormatException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What the header of an {@code .npy} file says.
 *
 * @param descr the element type as written, such as {@code <i4}
 * @param fortranOrder whether the first index varies fastest
 * @param shape length of each axis
 * @param dataOffset byte at which the elements start
 */
record NpyHeader(String descr, boolean fortranOrder, List<Long> shape, long dataOffset) {
  NpyHeader {
    shape = List.copyOf(shape);
  }

  /**
   * Number of elements.
   *
   * @throws ArithmeticException if it does not fit a long
   */
  long elements() {
    long product = 1;
    for (long length : shape) {
      if (length == 0) {
        return 0;
      }
    }

    for (long length : shape) {
      product = Math.multiplyExact(product, length);
    }

    return product;
  }

  /** The shape as Python writes it. */
  String shapeText() {
    return shape.size() == 1
        ? "(%d,)".formatted(shape.get(0))
        : shape.stream().map(String::valueOf).collect(Collectors.joining(", ", "(", ")"));
  }

  /** Parses the Python dictionary of a header; {@code file} is for messages. */
  static NpyHeader parse(String text, long dataOffset, Object file) {
    return new Parser(text, file).header(dataOffset);
  }

  /** Reads the one dictionary that numpy writes; no other Python literal is understood. */
  private static final class Parser {
    private static final int MAX_AXES = 32;

    private final String text;
    private final Object file;
    private int at;

    Parser(String text, Object file) {
      this.text = text;
      this.file = file;
    }

    NpyHeader header(long dataOffset) {
      String descr = null;
      Boolean fortranOrder = null;
      List<Long> shape = null;
      expect('{');
      while (!skip('}')) {
        String key = string();
        expect(':');
        switch (key) {
          case "descr" -> descr = once(key, descr, descr());
          case "fortran_order" -> fortranOrder = once(key, fortranOrder, truth());
          case "shape" -> shape = once(key, shape, tuple());
          default -> throw broken("unknown key '%s'".formatted(printable(key)));
        }

        if (!skip(',')) {
          expect('}');
          break;
        }
      }

      blank();
      if (at != text.length()) {
        throw broken("text behind the dictionary");
      }

      if (descr == null || fortranOrder == null || shape == null) {
        throw broken("keys descr, fortran_order and shape are needed");
      }

      return new NpyHeader(descr, fortranOrder, shape, dataOffset);
    }

    private <T> T once(String key, T before, T now) {
      if (before != null) {
        throw broken("key '%s' stands twice".formatted(key));
      }

      return now;
    }

    private String descr() {
      blank();
      if (at < text.length() && (text.charAt(at) == '[' || text.charAt(at) == '(')) {
        throw new TraceFormatException(
            "Cannot read %s: its dtype is structured (%s), expected plain integers. Maybe save one field of it alone"
                .formatted(file, printable(text.substring(at, Math.min(at + 40, text.length())))));
      }

      return string();
    }

    private boolean truth() {
      blank();
      if (text.startsWith("True", at)) {
        at += 4;
        return true;
      }

      if (text.startsWith("False", at)) {
        at += 5;
        return false;
      }

      throw broken("fortran_order is neither True nor False");
    }

    private List<Long> tuple() {
      expect('(');
      long[] axes = new long[MAX_AXES];
      int count = 0;
      while (!skip(')')) {
        if (count == MAX_AXES) {
          throw broken("more than %d axes".formatted(MAX_AXES));
        }

        axes[count++] = number();
        if (!skip(',')) {
          expect(')');
          break;
        }
      }

      return Arrays.stream(axes, 0, count).boxed().toList();
    }

    private long number() {
      blank();
      int start = at;
      while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
        at++;
      }

      if (at == start || at - start > 18) {
        throw broken("an axis is no number of 1 to 18 digits");
      }

      long value = Long.parseLong(text, start, at, 10);
      if (at < text.length() && text.charAt(at) == 'L') {
        at++; // Python 2 wrote long integers so
      }

      return value;
    }

    private String string() {
      blank();
      char quote = at < text.length() ? text.charAt(at) : 0;
      int end = quote == '\'' || quote == '"' ? text.indexOf(quote, at + 1) : -1;
      if (end < 0) {
        throw broken("a quoted text is missing");
      }

      String value = text.substring(at + 1, end);
      at = end + 1;
      return value;
    }

    private void expect(char wanted) {
      if (!skip(wanted)) {
        throw broken("'%c' is missing".formatted(wanted));
      }
    }

    private boolean skip(char wanted) {
      blank();
      if (at < text.length() && text.charAt(at) == wanted) {
        at++;
        return true;
      }

      return false;
    }

    private void blank() {
      while (at < text.length() && " \t\r\n\f".indexOf(text.charAt(at)) >= 0) {
        at++;
      }
    }

    private TraceFormatException broken(String what) {
      return new TraceFormatException(
          "Invalid .npy header in %s: %s, at character %d of %s"
              .formatted(
                  file, what, at, printable(text.substring(0, Math.min(text.length(), 120)))));
    }

    private static String printable(String text) {
      return text.strip().replaceAll("[^\\x20-\\x7e]", "?");
    }
  }
}
