package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;

/** Checks of what a user says about a dump. */
final class Sources {
  private Sources() {}

  /** The number of experts, which the file does not say. */
  static int experts(TraceSource source, int topK) {
    int experts =
        source
            .experts()
            .orElseThrow(
                () ->
                    new TraceFormatException(
                        "Missing number of experts: %s does not say how many a layer has. Maybe add --experts E"
                            .formatted(source.path())));
    if (experts < Math.max(1, topK) || experts > ModelShape.MAX_EXPERTS) {
      throw new TraceFormatException(
          "Invalid number of experts for %s: %d, %d (its top-k) to %d"
              .formatted(source.path(), experts, Math.max(1, topK), ModelShape.MAX_EXPERTS));
    }

    return experts;
  }

  /** Checks the number of experts against the file's, if the user gives one. */
  static void checkExperts(TraceSource source, int found) {
    if (source.experts().orElse(found) != found) {
      throw new TraceFormatException(
          "Invalid number of experts: %d by --experts, %d by %s"
              .formatted(source.experts().getAsInt(), found, source.path()));
    }
  }

  /** Refuses columns beside a dump that has its own. */
  static void refuseColumns(TraceSource source) {
    if (source.sequences().isPresent() || source.positions().isPresent()) {
      throw new TraceFormatException(
          "Cannot use --sequence-file or --position-file with %s: its format has its own sequences"
              .formatted(source.path()));
    }
  }
}
