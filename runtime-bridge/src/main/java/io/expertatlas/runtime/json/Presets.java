package io.expertatlas.runtime.json;

import io.expertatlas.runtime.pipeline.Preset;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;

/**
 * The presets S, M and L of APTMoE with the profile of its artifact's machine, shipped as data: the
 * load times, and the CPU's time at 1, 8, 64, 512 and 4096 tokens (S also at 8192). What lies
 * between is interpolated.
 */
public final class Presets {
  private static final List<String> NAMES = List.of("S", "M", "L");

  private Presets() {}

  /** The names. */
  public static List<String> names() {
    return NAMES;
  }

  /**
   * The preset of a name.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static Preset find(String name) {
    String known = name.toUpperCase(Locale.ROOT);
    if (!NAMES.contains(known)) {
      throw new IllegalArgumentException(
          "Invalid preset: %s, one of %s".formatted(name, String.join(", ", NAMES)));
    }

    String resource = "preset-%s.json".formatted(known.toLowerCase(Locale.ROOT));
    try (InputStream in = Presets.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException("Cannot find %s on the class path".formatted(resource));
      }

      return Fields.parse(
          new String(in.readAllBytes(), StandardCharsets.UTF_8), resource, Presets::parse);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Preset parse(Fields root) {
    root.version();
    return new Preset(
        root.text("name"),
        root.count("layers"),
        root.count("stages"),
        root.count("heads"),
        root.count("batch-size"),
        root.count("chunks"),
        root.count("sequence-length"),
        root.object("table", LookupTableParser::parse));
  }
}
