package io.expertatlas.trace.spark;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.sources.And;
import org.apache.spark.sql.sources.EqualNullSafe;
import org.apache.spark.sql.sources.EqualTo;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.sources.GreaterThan;
import org.apache.spark.sql.sources.GreaterThanOrEqual;
import org.apache.spark.sql.sources.In;
import org.apache.spark.sql.sources.IsNotNull;
import org.apache.spark.sql.sources.IsNull;
import org.apache.spark.sql.sources.LessThan;
import org.apache.spark.sql.sources.LessThanOrEqual;
import org.apache.spark.sql.sources.Not;
import org.apache.spark.sql.sources.Or;

/**
 * Filters that are decided by sets of sequence ids and of positions, exactly: Spark need not look
 * at the rows again. Both columns are never null.
 *
 * @param sequences sequence ids to keep
 * @param positions positions to keep
 */
record PushedFilters(IntRanges sequences, IntRanges positions) implements Serializable {
  static final PushedFilters NONE = new PushedFilters(IntRanges.ALL, IntRanges.ALL);

  /** A set of values of one column. */
  private record OneColumn(String column, IntRanges ranges) {}

  /** What is pushed of some filters, which all must hold, and which of them. */
  record Split(PushedFilters pushed, Filter[] accepted, Filter[] left) {}

  static Split of(Filter[] filters) {
    PushedFilters pushed = NONE;
    List<Filter> accepted = new ArrayList<>();
    List<Filter> left = new ArrayList<>();
    for (Filter filter : filters) {
      Optional<OneColumn> set = translate(filter);
      if (set.isEmpty()) {
        left.add(filter);
        continue;
      }

      accepted.add(filter);
      IntRanges ranges = set.get().ranges();
      pushed =
          set.get().column().equals(TraceSchema.SEQUENCE)
              ? new PushedFilters(pushed.sequences.intersect(ranges), pushed.positions)
              : new PushedFilters(pushed.sequences, pushed.positions.intersect(ranges));
    }

    return new Split(pushed, accepted.toArray(Filter[]::new), left.toArray(Filter[]::new));
  }

  private static Optional<OneColumn> translate(Filter filter) {
    if (filter instanceof And and) {
      return both(translate(and.left()), translate(and.right()), true);
    } else if (filter instanceof Or or) {
      return both(translate(or.left()), translate(or.right()), false);
    } else if (filter instanceof Not not) {
      return translate(not.child())
          .map(set -> new OneColumn(set.column(), set.ranges().complement()));
    } else if (filter instanceof IsNotNull known) {
      return column(known.attribute(), IntRanges.ALL);
    } else if (filter instanceof IsNull unknown) {
      return column(unknown.attribute(), IntRanges.NONE);
    } else if (filter instanceof In in) {
      return in(in);
    }

    return comparison(filter);
  }

  private static Optional<OneColumn> comparison(Filter filter) {
    if (filter instanceof EqualTo f && f.value() instanceof Integer value) {
      return column(f.attribute(), IntRanges.of(value, value));
    } else if (filter instanceof EqualNullSafe f && f.value() instanceof Integer value) {
      return column(f.attribute(), IntRanges.of(value, value));
    } else if (filter instanceof GreaterThan f && f.value() instanceof Integer value) {
      return column(f.attribute(), IntRanges.of(value + 1L, Integer.MAX_VALUE));
    } else if (filter instanceof GreaterThanOrEqual f && f.value() instanceof Integer value) {
      return column(f.attribute(), IntRanges.of(value, Integer.MAX_VALUE));
    } else if (filter instanceof LessThan f && f.value() instanceof Integer value) {
      return column(f.attribute(), IntRanges.of(Integer.MIN_VALUE, value - 1L));
    } else if (filter instanceof LessThanOrEqual f && f.value() instanceof Integer value) {
      return column(f.attribute(), IntRanges.of(Integer.MIN_VALUE, value));
    }

    return Optional.empty();
  }

  private static Optional<OneColumn> in(In in) {
    int[] values = new int[in.values().length];
    for (int i = 0; i < values.length; i++) {
      if (!(in.values()[i] instanceof Integer value)) {
        return Optional.empty();
      }

      values[i] = value;
    }

    return column(in.attribute(), IntRanges.ofValues(values));
  }

  private static Optional<OneColumn> column(String name, IntRanges ranges) {
    return name.equals(TraceSchema.SEQUENCE) || name.equals(TraceSchema.POSITION)
        ? Optional.of(new OneColumn(name, ranges))
        : Optional.empty();
  }

  private static Optional<OneColumn> both(
      Optional<OneColumn> left, Optional<OneColumn> right, boolean and) {
    if (left.isEmpty() || right.isEmpty() || !left.get().column().equals(right.get().column())) {
      return Optional.empty();
    }

    IntRanges one = left.get().ranges();
    IntRanges other = right.get().ranges();
    return Optional.of(
        new OneColumn(left.get().column(), and ? one.intersect(other) : one.union(other)));
  }

  /** Whether every row is kept. */
  boolean isNone() {
    return sequences.isAll() && positions.isAll();
  }

  /** Names of the columns that the filters look at. */
  List<String> columns() {
    List<String> names = new ArrayList<>();
    if (!sequences.isAll()) {
      names.add(TraceSchema.SEQUENCE);
    }

    if (!positions.isAll()) {
      names.add(TraceSchema.POSITION);
    }

    return names;
  }

  @Override
  public String toString() {
    List<String> parts = new ArrayList<>();
    if (!sequences.isAll()) {
      parts.add("sequence in " + sequences);
    }

    if (!positions.isAll()) {
      parts.add("position in " + positions);
    }

    return String.join(" and ", parts);
  }
}
