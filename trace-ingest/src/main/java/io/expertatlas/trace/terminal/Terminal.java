package io.expertatlas.trace.terminal;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.util.function.Supplier;
import me.tongfei.progressbar.DelegatingProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import picocli.CommandLine;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.TypeConversionException;

/** Runs a stage's commands with the project's exit codes: 0 done, 1 ran but failed, 2 usage. */
public final class Terminal {
  /** System property that, when true, prints the stack trace of a failure too. */
  public static final String DEBUG_PROPERTY = "atlas.debug";

  private Terminal() {}

  /**
   * Runs a command. A failure prints one line to stderr: what went wrong, with the value and the
   * file.
   *
   * @param command an object annotated for picocli
   * @return the exit code
   */
  public static int execute(Object command, String... arguments) {
    return execute(new CommandLine(command), arguments);
  }

  /**
   * Runs a command line whose output may have been redirected; see {@link #execute(Object,
   * String...)}.
   */
  public static int execute(CommandLine commandLine, String... arguments) {
    commandLine.setCaseInsensitiveEnumValuesAllowed(true);
    commandLine.setExecutionExceptionHandler(
        (failure, line, parsed) -> failed(failure, line.getErr()));
    commandLine.setParameterExceptionHandler(
        (failure, parsed) -> {
          PrintWriter err = failure.getCommandLine().getErr();
          err.println("atlas: " + failure.getMessage().lines().findFirst().orElse("invalid usage"));
          err.println(
              "Maybe see: atlas %s --help"
                  .formatted(failure.getCommandLine().getCommandSpec().name()));
          err.flush();
          return ExitCode.USAGE;
        });
    try {
      return commandLine.execute(arguments);
    } catch (OutOfMemoryError | LinkageError failure) {
      return failed(failure, commandLine.getErr()); // picocli hands over exceptions only
    }
  }

  private static int failed(Throwable failure, PrintWriter err) {
    err.println("atlas: " + message(failure));
    if (Boolean.getBoolean(DEBUG_PROPERTY)) {
      failure.printStackTrace(err);
    }

    err.flush();
    return ExitCode.SOFTWARE;
  }

  /**
   * Parses an option's value: what the parser refuses becomes a usage error.
   *
   * @throws TypeConversionException with the parser's message
   */
  public static <T> T option(Supplier<T> parser) {
    try {
      return parser.get();
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }

  /**
   * A progress bar on stderr, silent where there is no terminal; close it when the work is done.
   */
  public static ProgressBar progress(String task, long steps) {
    ProgressBarBuilder bar =
        new ProgressBarBuilder()
            .setTaskName(task)
            .setInitialMax(steps)
            .setStyle(ProgressBarStyle.ASCII)
            .setUpdateIntervalMillis(200);
    if (System.console() == null) {
      bar.setConsumer(new DelegatingProgressBarConsumer(line -> {}));
    }

    return bar.build();
  }

  /** One line that says what went wrong, for any failure. */
  static String message(Throwable failure) {
    Throwable cause = failure;
    if (failure instanceof UncheckedIOException) {
      cause = failure.getCause();
    }

    if (cause instanceof FileSystemException e) {
      return "Cannot use file %s: %s".formatted(e.getFile(), reason(e));
    }

    if (cause instanceof OutOfMemoryError) {
      return "Not enough memory: %s. Maybe give the JVM more with ATLAS_JAVA_OPTIONS=-Xmx8g"
          .formatted(cause.getMessage());
    }

    String text = cause.getMessage();
    if (text == null || text.isBlank()) {
      return cause.getClass().getSimpleName();
    }

    String line = text.strip().replaceAll("\\s*\\R\\s*", " ");
    return cause instanceof IOException || cause instanceof RuntimeException
        ? line
        : cause.getClass().getSimpleName() + ": " + line;
  }

  private static String reason(FileSystemException e) {
    return switch (e.getClass().getSimpleName()) {
      case "NoSuchFileException" -> "no such file or folder";
      case "FileAlreadyExistsException" -> "it exists already";
      case "AccessDeniedException" -> "access denied";
      case "DirectoryNotEmptyException" -> "the folder is not empty";
      case "NotDirectoryException" -> "not a folder";
      default -> e.getReason() == null ? e.getClass().getSimpleName() : e.getReason();
    };
  }
}
