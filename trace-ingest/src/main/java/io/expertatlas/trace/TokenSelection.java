package io.expertatlas.trace;

import java.util.Objects;
import java.util.Optional;
import java.util.function.IntPredicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A part of a trace: a range of its tokens, some of its sequences, or both. Fit on one part and
 * score on another; split by sequence rather than by token, because neighbouring tokens resemble
 * each other.
 *
 * @param tokens the tokens to keep, counted in the whole trace
 * @param sequences the sequences to keep
 */
public record TokenSelection(TokenRange tokens, Sequences sequences) {
  /** The whole trace. */
  public static final TokenSelection ALL = new TokenSelection(TokenRange.ALL, Sequences.ALL);

  /** Checks that nothing is null. */
  public TokenSelection {
    Objects.requireNonNull(tokens, "tokens is null");
    Objects.requireNonNull(sequences, "sequences is null");
  }

  /** Whether this keeps every token of every trace. */
  public boolean isAll() {
    return tokens.equals(TokenRange.ALL) && sequences.equals(Sequences.ALL);
  }

  /** Whether a token is kept, given its index in the whole trace and its sequence id. */
  public boolean keeps(long token, int sequence) {
    return tokens.contains(token) && sequences.test(sequence);
  }

  /** The kept part of a trace; closing it closes the whole. */
  public TraceReader of(TraceReader whole) {
    return isAll() ? whole : new SelectedTrace(whole, this);
  }

  @Override
  public String toString() {
    if (tokens.equals(TokenRange.ALL)) {
      return "sequences " + sequences;
    }

    return sequences.equals(Sequences.ALL)
        ? "tokens " + tokens
        : "tokens %s of sequences %s".formatted(tokens, sequences);
  }

  /**
   * Tokens {@code from} (inclusive) to {@code to} (exclusive) of a trace.
   *
   * @param from first token
   * @param to the token after the last one
   */
  public record TokenRange(long from, long to) {
    /** Every token. */
    public static final TokenRange ALL = new TokenRange(0, Long.MAX_VALUE);

    /**
     * Checks the range.
     *
     * @throws IllegalArgumentException if it is negative or empty
     */
    public TokenRange {
      if (from < 0 || to <= from) {
        throw new IllegalArgumentException(
            "Invalid token range: %d:%d, FROM at least 0 and below TO".formatted(from, to));
      }
    }

    /**
     * Parses {@code FROM:TO}, where either side may be missing.
     *
     * @throws IllegalArgumentException if the text is of another form
     */
    public static TokenRange parse(String text) {
      Matcher matcher = Pattern.compile("(\\d{0,18}):(\\d{0,18})").matcher(text.strip());
      if (!matcher.matches()) {
        throw new IllegalArgumentException(
            "Invalid token range: %s, expected FROM:TO".formatted(text));
      }

      return new TokenRange(
          matcher.group(1).isEmpty() ? 0 : Long.parseLong(matcher.group(1)),
          matcher.group(2).isEmpty() ? Long.MAX_VALUE : Long.parseLong(matcher.group(2)));
    }

    /** Whether a token is in the range. */
    public boolean contains(long token) {
      return token >= from && token < to;
    }

    @Override
    public String toString() {
      return "%d:%s".formatted(from, to == Long.MAX_VALUE ? "" : to);
    }
  }

  /**
   * Sequences chosen by an expression: terms separated by commas, each a sequence id {@code 7}, a
   * range {@code 10:20} (either side may be missing) or a residue class {@code %2=0}. A sequence is
   * kept if any term matches it.
   */
  public static final class Sequences implements IntPredicate {
    /** Every sequence. */
    public static final Sequences ALL = new Sequences("all", id -> true);

    private static final Pattern ID = Pattern.compile("\\d{1,9}");
    private static final Pattern RANGE = Pattern.compile("(\\d{0,9}):(\\d{0,9})");
    private static final Pattern RESIDUE = Pattern.compile("%([1-9]\\d{0,8})=(\\d{1,9})");

    private final String expression;
    private final IntPredicate predicate;

    private Sequences(String expression, IntPredicate predicate) {
      this.expression = expression;
      this.predicate = predicate;
    }

    /**
     * Parses an expression.
     *
     * @throws IllegalArgumentException if a term is of none of the three forms or can match nothing
     */
    public static Sequences parse(String expression) {
      if (expression.strip().equals(ALL.expression)) {
        return ALL;
      }

      IntPredicate any = null;
      for (String term : expression.split(",", -1)) {
        IntPredicate next =
            parseTerm(term.strip())
                .orElseThrow(
                    () ->
                        new IllegalArgumentException(
                            "Invalid sequence term: '%s' in %s, expected ID, FROM:TO or %%M=R with R below M"
                                .formatted(term.strip(), expression)));
        any = any == null ? next : any.or(next);
      }

      return new Sequences(expression.replace(" ", ""), any);
    }

    private static Optional<IntPredicate> parseTerm(String term) {
      if (ID.matcher(term).matches()) {
        int wanted = Integer.parseInt(term);
        return Optional.of(id -> id == wanted);
      }

      Matcher range = RANGE.matcher(term);
      if (range.matches()) {
        int from = range.group(1).isEmpty() ? 0 : Integer.parseInt(range.group(1));
        int to = range.group(2).isEmpty() ? Integer.MAX_VALUE : Integer.parseInt(range.group(2));
        return from < to ? Optional.of(id -> id >= from && id < to) : Optional.empty();
      }

      Matcher residue = RESIDUE.matcher(term);
      if (residue.matches()) {
        int modulus = Integer.parseInt(residue.group(1));
        int remainder = Integer.parseInt(residue.group(2));
        return remainder < modulus
            ? Optional.of(id -> Math.floorMod(id, modulus) == remainder)
            : Optional.empty();
      }

      return Optional.empty();
    }

    @Override
    public boolean test(int sequence) {
      return predicate.test(sequence);
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Sequences that && expression.equals(that.expression);
    }

    @Override
    public int hashCode() {
      return expression.hashCode();
    }

    @Override
    public String toString() {
      return expression;
    }
  }
}
