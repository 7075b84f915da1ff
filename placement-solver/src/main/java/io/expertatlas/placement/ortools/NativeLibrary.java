package io.expertatlas.placement.ortools;

import com.google.ortools.Loader;

/** Loads OR-Tools' native library, once. */
final class NativeLibrary {
  private NativeLibrary() {}

  /**
   * Makes the OR-Tools classes usable.
   *
   * @throws IllegalStateException if there is no native library for this machine
   */
  static void load() {
    try {
      Loader.loadNativeLibraries();
    } catch (RuntimeException | LinkageError e) {
      throw new IllegalStateException(
          "Cannot load OR-Tools' native library for %s %s: %s. Maybe use --solver sweep or viterbi, which need none"
              .formatted(System.getProperty("os.name"), System.getProperty("os.arch"), e),
          e);
    }
  }
}
