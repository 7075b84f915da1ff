package io.expertatlas.runtime.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The memory of this machine. */
final class HostMemory {
  private static final Path LINUX = Path.of("/proc/meminfo");
  private static final String AVAILABLE = "MemAvailable:";

  private HostMemory() {}

  /** Bytes that can be used without swapping; {@link Long#MAX_VALUE} where no system tells. */
  static long available() {
    try {
      for (String line : Files.readAllLines(LINUX)) {
        if (line.startsWith(AVAILABLE)) {
          return Long.parseLong(line.replaceAll("\\D", "")) * 1024; // in kB, which are KiB
        }
      }
    } catch (IOException e) {
      return Long.MAX_VALUE;
    }

    return Long.MAX_VALUE;
  }
}
