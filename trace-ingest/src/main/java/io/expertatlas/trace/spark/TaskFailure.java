package io.expertatlas.trace.spark;

import io.expertatlas.trace.TraceFormatException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.SparkException;

/** Says what failed in a task, without what Spark wraps around it. */
final class TaskFailure {
  private static final String NAME = TraceFormatException.class.getName();
  private static final Pattern OURS = Pattern.compile(Pattern.quote(NAME) + ": (.*)");

  private TaskFailure() {}

  /**
   * The failure to throw on: a task's {@link TraceFormatException} with its own message, whether
   * Spark kept it as a cause or as text only; anything else as it is.
   */
  static RuntimeException unwrap(Exception failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof TraceFormatException e) {
        return new TraceFormatException(e.getMessage(), failure);
      }
    }

    String text = String.valueOf(failure.getMessage());
    Matcher matcher = OURS.matcher(text);
    if (matcher.find()) {
      return new TraceFormatException(matcher.group(1), failure);
    }

    if (failure instanceof SparkException) {
      Throwable root = failure;
      while (root.getCause() != null) {
        root = root.getCause();
      }

      return new IllegalStateException(
          "Spark failed: "
              + String.valueOf(root.getMessage()).lines().findFirst().orElse("no reason given"),
          failure);
    }

    return failure instanceof RuntimeException e ? e : new IllegalStateException(failure);
  }
}
