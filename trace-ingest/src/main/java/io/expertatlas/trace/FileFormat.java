package io.expertatlas.trace;

import java.util.List;
import java.util.Optional;

/**
 * What {@link TraceFormat}, {@link CountsFormat} and {@link RouterStatesFormat} have in common. One
 * program's dump may be read as several of them, under one name.
 */
public interface FileFormat {
  /** The name that {@code --format} takes. */
  String name();

  /** Whether the path looks like this format: by name, kind and first bytes, not by its content. */
  boolean recognizes(TraceSource source);

  /** The {@link FormatOption options} that it takes. */
  default List<FormatOption<?>> options() {
    return List.of();
  }

  /**
   * What this sees in a file that no format recognizes, in words, such as the keys of a torch file;
   * empty: nothing that its first bytes do not say.
   */
  default Optional<String> glimpse(TraceSource source) {
    return Optional.empty();
  }
}
