package io.expertatlas.trace;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
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
   * range {@code 10:20} (either side may be missing) or a residue class {@code %2=0}; with {@code
   * ^} before it, a term leaves out what it matches. A sequence is kept if any term without {@code
   * ^} matches it, or there is none of these, and no term with {@code ^} does.
   */
  public static final class Sequences implements IntPredicate {
    /** Every sequence. */
    public static final Sequences ALL =
        new Sequences("all", new SequenceTerms(List.of()), new SequenceTerms(List.of()));

    private final String expression;
    private final SequenceTerms kept;
    private final SequenceTerms leftOut;

    private Sequences(String expression, SequenceTerms kept, SequenceTerms leftOut) {
      this.expression = expression;
      this.kept = kept;
      this.leftOut = leftOut;
    }

    /**
     * Parses an expression.
     *
     * @throws IllegalArgumentException if a term is of none of the forms or can match nothing
     */
    public static Sequences parse(String expression) {
      if (expression.strip().equals(ALL.expression)) {
        return ALL;
      }

      List<SequenceTerms.Term> kept = new ArrayList<>();
      List<SequenceTerms.Term> leftOut = new ArrayList<>();
      for (String part : expression.split(",", -1)) {
        String term = part.strip();
        boolean out = term.startsWith("^");
        (out ? leftOut : kept)
            .add(
                SequenceTerms.Term.parse(out ? term.substring(1).strip() : term)
                    .orElseThrow(
                        () ->
                            new IllegalArgumentException(
                                "Invalid sequence term: '%s' in %s, expected ID, FROM:TO or %%M=R with R below M, or one of these behind a ^"
                                    .formatted(term, expression))));
      }

      return new Sequences(
          expression.replace(" ", ""), new SequenceTerms(kept), new SequenceTerms(leftOut));
    }

    @Override
    public boolean test(int sequence) {
      return (kept.isEmpty() || kept.matches(sequence)) && !leftOut.matches(sequence);
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
