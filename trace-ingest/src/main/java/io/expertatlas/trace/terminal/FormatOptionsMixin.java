package io.expertatlas.trace.terminal;

import io.expertatlas.trace.FormatOptions;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code --format-option KEY=VALUE}: a picocli {@code @Mixin}. */
public final class FormatOptionsMixin {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--format-option",
      paramLabel = "KEY=VALUE",
      description =
          "What the format wants to be told, such as top-k=8; may be repeated. An unknown key"
              + " names those that the format knows.")
  private List<String> entries = new ArrayList<>();

  /**
   * The options given.
   *
   * @throws ParameterException if one is not written KEY=VALUE, or a key stands twice
   */
  public FormatOptions options() {
    try {
      return FormatOptions.parse(entries);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), e.getMessage(), e);
    }
  }
}
