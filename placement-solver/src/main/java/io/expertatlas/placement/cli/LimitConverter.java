package io.expertatlas.placement.cli;

import java.time.Duration;
import picocli.CommandLine.ITypeConverter;

/** Durations as {@link DurationConverter} takes them, or {@code none}, which is zero. */
final class LimitConverter implements ITypeConverter<Duration> {
  @Override
  public Duration convert(String value) {
    return value.equals("none") ? Duration.ZERO : new DurationConverter().convert(value);
  }
}
