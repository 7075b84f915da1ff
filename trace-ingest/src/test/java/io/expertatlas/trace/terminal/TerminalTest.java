package io.expertatlas.trace.terminal;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.TraceFormatException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.NoSuchFileException;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

class TerminalTest {
  private final StringWriter err = new StringWriter();

  @Command(name = "probe")
  private static final class Probe implements Callable<Integer> {
    @Mixin private TraceOptions trace;
    private Throwable failure;

    @Override
    public Integer call() throws Exception {
      if (failure instanceof Error error) {
        throw error;
      }

      if (failure instanceof Exception exception) {
        throw exception;
      }

      return 0;
    }
  }

  private int run(Throwable failure, String... arguments) {
    Probe probe = new Probe();
    probe.failure = failure;
    return Terminal.execute(new CommandLine(probe).setErr(new PrintWriter(err)), arguments);
  }

  @Test
  void doneIsZero() {
    assertThat(run(null, "--trace", "x", "--tokens", "1:5", "--sequences", "%2=0")).isZero();
    assertThat(err.toString()).isEmpty();
  }

  @Test
  void aFailureIsOneLine() {
    assertThat(run(new TraceFormatException("Invalid thing: 7\n  at byte 5"), "--trace", "x"))
        .isEqualTo(1);
    assertThat(err.toString()).isEqualToIgnoringNewLines("atlas: Invalid thing: 7 at byte 5");
  }

  @Test
  void tooLittleMemoryIsAFailureWithAdvice() {
    assertThat(run(new OutOfMemoryError("Java heap space"), "--trace", "x")).isEqualTo(1);
    assertThat(err.toString())
        .isEqualToIgnoringNewLines(
            "atlas: Not enough memory: Java heap space."
                + " Maybe give the JVM more with ATLAS_JAVA_OPTIONS=-Xmx8g");
  }

  @Test
  void aMissingFileIsNamed() {
    assertThat(run(new NoSuchFileException("a/b.npy"), "--trace", "x")).isEqualTo(1);
    assertThat(err.toString())
        .isEqualToIgnoringNewLines("atlas: Cannot use file a/b.npy: no such file or folder");
  }

  @Test
  void aBadValueIsAUsageError() {
    assertThat(run(null, "--trace", "x", "--tokens", "9:5")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid token range: 9:5").contains("atlas probe --help");
    assertThat(run(null)).isEqualTo(2);
  }
}
