package io.expertatlas.trace;

import java.util.List;

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
}
