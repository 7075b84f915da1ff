package io.expertatlas.trace;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Terms of an expression on sequence ids, any of which may match. Immutable. */
final class SequenceTerms {
  /**
   * A range of ids, or those of them that leave a remainder.
   *
   * @param from first id
   * @param to the id after the last one
   * @param modulus of a residue class; 1 for every id of the range
   * @param remainder below the modulus
   */
  record Term(long from, long to, int modulus, int remainder) {
    private static final Pattern ID = Pattern.compile("\\d{1,9}");
    private static final Pattern RANGE = Pattern.compile("(\\d{0,9}):(\\d{0,9})");
    private static final Pattern RESIDUE = Pattern.compile("%([1-9]\\d{0,8})=(\\d{1,9})");

    /** A term of the forms {@code 7}, {@code 10:20} and {@code %2=0}, unless it matches nothing. */
    static Optional<Term> parse(String term) {
      if (ID.matcher(term).matches()) {
        long id = Long.parseLong(term);
        return Optional.of(new Term(id, id + 1, 1, 0));
      }

      Matcher range = RANGE.matcher(term);
      if (range.matches()) {
        long from = range.group(1).isEmpty() ? 0 : Long.parseLong(range.group(1));
        long to = range.group(2).isEmpty() ? Integer.MAX_VALUE : Long.parseLong(range.group(2));
        return from < to ? Optional.of(new Term(from, to, 1, 0)) : Optional.empty();
      }

      Matcher residue = RESIDUE.matcher(term);
      if (residue.matches()) {
        int modulus = Integer.parseInt(residue.group(1));
        int remainder = Integer.parseInt(residue.group(2));
        return remainder < modulus
            ? Optional.of(new Term(Integer.MIN_VALUE, 1L << 31, modulus, remainder))
            : Optional.empty();
      }

      return Optional.empty();
    }
  }

  private final long[] from; // of disjoint ranges, ascending
  private final long[] to;
  private final List<Term> residues;

  SequenceTerms(List<Term> terms) {
    List<long[]> ranges = new ArrayList<>();
    residues = terms.stream().filter(term -> term.modulus() > 1).toList();
    terms.stream()
        .filter(term -> term.modulus() == 1)
        .sorted(Comparator.comparingLong(Term::from))
        .forEach(
            term -> {
              long[] last = ranges.isEmpty() ? null : ranges.get(ranges.size() - 1);
              if (last != null && term.from() <= last[1]) {
                last[1] = Math.max(last[1], term.to());
              } else {
                ranges.add(new long[] {term.from(), term.to()});
              }
            });
    from = ranges.stream().mapToLong(range -> range[0]).toArray();
    to = ranges.stream().mapToLong(range -> range[1]).toArray();
  }

  boolean isEmpty() {
    return from.length == 0 && residues.isEmpty();
  }

  boolean matches(int sequence) {
    int low = 0;
    int high = from.length; // the last range that begins at or before the id lies in low - 1
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (from[middle] <= sequence) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }

    if (low > 0 && sequence < to[low - 1]) {
      return true;
    }

    for (Term term : residues) {
      if (Math.floorMod(sequence, term.modulus()) == term.remainder()) {
        return true;
      }
    }

    return false;
  }
}
