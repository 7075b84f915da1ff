package io.expertatlas.trace;

import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.TreeSet;

/** Finds the one format of a kind that a source is of. */
final class FormatSearch<F extends FileFormat> {
  private final Class<F> kind;
  private final TraceSource source;
  private final List<String> known = new ArrayList<>();
  private final List<F> found = new ArrayList<>();

  FormatSearch(Class<F> kind, TraceSource source) {
    this.kind = kind;
    this.source = source;
    for (F format : ServiceLoader.load(kind)) {
      known.add(format.name());
      boolean wanted =
          source.format().isEmpty()
              ? format.recognizes(source)
              : format.name().equals(source.format());
      if (wanted) {
        found.add(format);
      }
    }
  }

  /** The format, or empty if none or more than one fits. */
  Optional<F> only() {
    return found.size() == 1 ? Optional.of(found.get(0)) : Optional.empty();
  }

  /**
   * The format, whose options have been checked.
   *
   * @param holds what is looked for, in plural, for messages
   */
  F require(String holds) {
    if (found.size() != 1) {
      throw none(holds);
    }

    F format = found.get(0);
    source.options().check(format.name(), format.options());
    return format;
  }

  private TraceFormatException none(String holds) {
    if (!source.format().isEmpty() && !isKnownElsewhere()) {
      return new TraceFormatException(
          "Invalid trace format: %s, known are %s".formatted(source.format(), everything()));
    }

    if (!Files.exists(source.path())) {
      return new TraceFormatException(
          "Cannot read %s: no such file or folder".formatted(source.path()));
    }

    if (found.size() > 1) {
      return new TraceFormatException(
          "Cannot tell the format of %s: %s all recognize it. Maybe name it with --format"
              .formatted(source.path(), found.stream().map(FileFormat::name).toList()));
    }

    Optional<String> counts = nameAs(CountsFormat.class);
    if (kind != CountsFormat.class && counts.isPresent()) {
      return new TraceFormatException(
          "Cannot read %s from %s: format %s holds counts of tokens for each expert only, no token's route and so no affinity. Maybe look at it with atlas inspect, or at its popularity with atlas analyze --counts"
              .formatted(holds, source.path(), counts.get()));
    }

    Optional<String> routes = nameAs(TraceFormat.class);
    if (kind != TraceFormat.class && routes.isPresent()) {
      return new TraceFormatException(
          "Cannot read %s from %s: format %s holds routes, but no %s; known with them are %s"
              .formatted(holds, source.path(), routes.get(), holds, known));
    }

    return new TraceFormatException(
        "Cannot tell the format of %s: none of %s recognizes it; it is %s. Maybe name it with --format"
            .formatted(source.path(), everything(), seen()));
  }

  private String seen() {
    for (FileFormat format : ServiceLoader.load(TraceFormat.class)) {
      Optional<String> seen = format.glimpse(source);
      if (seen.isPresent()) {
        return seen.get();
      }
    }

    return Glimpse.of(source.path());
  }

  private boolean isKnownElsewhere() {
    return everything().contains(source.format());
  }

  private <G extends FileFormat> Optional<String> nameAs(Class<G> other) {
    return new FormatSearch<>(other, source).only().map(FileFormat::name);
  }

  private static TreeSet<String> everything() {
    TreeSet<String> names = new TreeSet<>();
    ServiceLoader.load(TraceFormat.class).forEach(format -> names.add(format.name()));
    ServiceLoader.load(CountsFormat.class).forEach(format -> names.add(format.name()));
    ServiceLoader.load(RouterStatesFormat.class).forEach(format -> names.add(format.name()));
    return names;
  }
}
