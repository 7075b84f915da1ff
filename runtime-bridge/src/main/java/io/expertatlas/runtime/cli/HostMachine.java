package io.expertatlas.runtime.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** This machine in words. */
final class HostMachine {
  private static final Path LINUX = Path.of("/proc/cpuinfo");

  private HostMachine() {}

  /** The processor's name; its architecture where no system tells. */
  static String processor() {
    try {
      for (String line : Files.readAllLines(LINUX)) {
        if (line.startsWith("model name")) {
          return line.substring(line.indexOf(':') + 1).strip();
        }
      }
    } catch (IOException e) {
      return System.getProperty("os.arch");
    }

    return System.getProperty("os.arch");
  }
}
