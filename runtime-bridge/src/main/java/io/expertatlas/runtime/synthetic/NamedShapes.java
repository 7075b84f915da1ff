package io.expertatlas.runtime.synthetic;

import io.expertatlas.runtime.MixtralConfig;
import java.util.LinkedHashMap;
import java.util.Map;

/** Shapes of models by name. */
public final class NamedShapes {
  private static final Map<String, MixtralConfig> ALL = new LinkedHashMap<>();

  static {
    ALL.put(
        "mixtral-8x7b",
        new MixtralConfig(32, 8, 2, 4096, 14336, 32, 8, 128, 32000, 32768, 1e-5, 1e6, -1, 2));
    ALL.put(
        "mixtral-8x22b",
        new MixtralConfig(56, 8, 2, 6144, 16384, 48, 8, 128, 32768, 65536, 1e-5, 1e6, -1, 2));
    ALL.put(
        "mixtral-8x7b-layer", // one layer of it, 1.7e9 parameters: for hosts
        new MixtralConfig(1, 8, 2, 4096, 14336, 32, 8, 128, 32000, 32768, 1e-5, 1e6, -1, 2));
    ALL.put(
        "mixtral-8x100m",
        new MixtralConfig(12, 8, 2, 768, 2048, 12, 4, 64, 32000, 4096, 1e-5, 1e6, -1, 2));
    ALL.put(
        "mixtral-tiny", new MixtralConfig(3, 5, 2, 48, 40, 4, 2, 12, 101, 256, 1e-5, 1e4, -1, 2));
  }

  private NamedShapes() {}

  /**
   * The shape of a name.
   *
   * @throws IllegalArgumentException if there is none, naming those known
   */
  public static MixtralConfig find(String name) {
    MixtralConfig found = ALL.get(name);
    if (found == null) {
      throw new IllegalArgumentException(
          "Invalid shape: %s, one of %s".formatted(name, String.join(", ", ALL.keySet())));
    }

    return found;
  }
}
