package io.expertatlas.placement.format;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;

/** Numbers as Python prints them. */
final class PythonNumbers {
  private static final int MOST_DIGITS = 17;

  private PythonNumbers() {}

  /**
   * A double as Python's {@code repr}: the shortest decimal that reads back as the same double, of
   * those the nearest to it; with an exponent of at least two digits below 1e-4 and from 1e16 on.
   *
   * <p>{@code Double.toString} will not do: before JDK 19 it is not always the shortest
   * (JDK-4511638).
   */
  static String repr(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }

    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }

    String sign = Math.copySign(1, value) < 0 ? "-" : "";
    if (value == 0) {
      return sign + "0.0";
    }

    BigDecimal shortest = shortest(Math.abs(value)).stripTrailingZeros();
    String digits = shortest.unscaledValue().toString();
    int exponent = digits.length() - shortest.scale() - 1; // of the first digit
    if (exponent < -4 || exponent >= 16) {
      String mantissa =
          digits.length() == 1 ? digits : digits.charAt(0) + "." + digits.substring(1);
      return "%s%se%s%02d".formatted(sign, mantissa, exponent < 0 ? "-" : "+", Math.abs(exponent));
    }

    String plain = shortest.toPlainString();
    return sign + (plain.contains(".") ? plain : plain + ".0");
  }

  private static BigDecimal shortest(double value) {
    BigDecimal exact = new BigDecimal(value);
    for (int digits = 1; digits < MOST_DIGITS; digits++) {
      BigDecimal below = exact.round(new MathContext(digits, RoundingMode.DOWN));
      BigDecimal above = exact.round(new MathContext(digits, RoundingMode.UP));
      boolean fitsBelow = below.doubleValue() == value;
      boolean fitsAbove = above.doubleValue() == value;
      if (fitsBelow && fitsAbove) {
        return exact.round(new MathContext(digits, RoundingMode.HALF_EVEN));
      }

      if (fitsBelow || fitsAbove) {
        return fitsBelow ? below : above;
      }
    }

    return exact.round(new MathContext(MOST_DIGITS, RoundingMode.HALF_EVEN));
  }
}
