package io.expertatlas.affinity.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;

/**
 * Opens pages in a real headless Chromium: {@code chromium}, {@code chromium-browser} or {@code
 * google-chrome} on the PATH, or what {@code -Dexpertatlas.browser=PATH} names. Without a browser
 * the test is skipped.
 */
public final class BrowserCheck {
  /** System property with the path of the browser. */
  public static final String BROWSER_PROPERTY = "expertatlas.browser";

  private static final List<String> NAMES =
      List.of("chromium", "chromium-browser", "google-chrome", "google-chrome-stable");
  private static final int TIMEOUT_SECONDS = 90;
  private static final Pattern PLOT =
      Pattern.compile("<div class=\"plot\" id=\"([a-z0-9-]+)\"[^>]*>");
  private static final Pattern MARKS = Pattern.compile("data-marks=\"(\\d+)\"");
  private static final Pattern SHAPE = Pattern.compile("<(path|rect|circle|polyline)[ >]");

  private final String browser;

  private BrowserCheck(String browser) {
    this.browser = browser;
  }

  /**
   * A page after its scripts have run.
   *
   * @param dom the document as HTML
   * @param console what the console printed, and the browser's own complaints about the page
   * @param marks SVG shapes (or, where a canvas was drawn, its pixels) by plot id
   */
  public record Page(String dom, List<String> console, Map<String, Integer> marks) {
    /** Fails unless these plots, and no others, were drawn, each with marks and without errors. */
    public Page hasPlots(String... ids) {
      assertThat(console).as("console of the page").isEmpty();
      assertThat(root()).as("errors of the page").doesNotContain("data-errors");
      assertThat(marks.keySet()).containsExactlyInAnyOrder(ids);
      assertThat(root()).contains("data-plots=\"%d\"".formatted(ids.length));
      marks.forEach((id, count) -> assertThat(count).as("marks of plot " + id).isGreaterThan(5));
      return this;
    }

    private String root() {
      int start = dom.indexOf("<html");
      return dom.substring(start, dom.indexOf('>', start) + 1);
    }
  }

  /** The browser of this machine; without one the calling test is skipped. */
  public static BrowserCheck ofThisMachine() {
    Optional<String> found = Optional.ofNullable(System.getProperty(BROWSER_PROPERTY));
    if (found.isEmpty()) {
      found =
          Stream.of(System.getenv("PATH").split(File.pathSeparator))
              .flatMap(folder -> NAMES.stream().map(name -> Path.of(folder, name)))
              .filter(Files::isExecutable)
              .map(Path::toString)
              .findFirst();
    }

    Assumptions.assumeTrue(
        found.isPresent(),
        "SKIPPED: no Chromium on the PATH; install chromium or set -D" + BROWSER_PROPERTY);
    return new BrowserCheck(found.get());
  }

  /** Opens a page from its file and runs its scripts. */
  public Page open(Path html) {
    List<String> console = new ArrayList<>();
    String dom = run(console, List.of("--dump-dom", html.toUri().toString()));
    Map<String, Integer> marks = new TreeMap<>();
    Matcher plot = PLOT.matcher(dom);
    while (plot.find()) {
      Matcher own = MARKS.matcher(plot.group());
      int reported = own.find() ? Integer.parseInt(own.group(1)) : 0;
      String content = dom.substring(plot.end(), dom.indexOf("<script", plot.end()));
      // shapes are counted here again; the page's word is taken for canvases only
      int shapes = (int) SHAPE.matcher(content).results().count();
      marks.put(plot.group(1), content.contains("<canvas") ? reported : shapes);
    }

    return new Page(dom, console, marks);
  }

  /** Takes a picture of a page. */
  public void screenshot(Path html, Path png, int width, int height, boolean dark) {
    List<String> arguments = new ArrayList<>();
    arguments.add("--screenshot=" + png.toAbsolutePath());
    arguments.add("--window-size=%d,%d".formatted(width, height));
    arguments.add("--hide-scrollbars");
    arguments.add("--blink-settings=preferredColorScheme=" + (dark ? 0 : 1));
    arguments.add(html.toUri().toString());
    run(new ArrayList<>(), arguments);
    assertThat(png).isNotEmptyFile();
  }

  private String run(List<String> console, List<String> arguments) {
    try {
      Path home = Files.createTempDirectory("browser");
      try {
        Path out = home.resolve("stdout");
        Path err = home.resolve("stderr");
        List<String> command = new ArrayList<>();
        command.add(browser);
        command.addAll(
            List.of(
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--enable-logging=stderr",
                "--virtual-time-budget=20000",
                "--user-data-dir=" + home.resolve("profile")));
        command.addAll(arguments);
        Process process =
            new ProcessBuilder(command)
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start();
        if (!process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
          process.destroyForcibly();
          throw new AssertionError(
              "The browser did not end within %d s: %s".formatted(TIMEOUT_SECONDS, command));
        }

        List<String> log = Files.readAllLines(err);
        assertThat(process.exitValue()).as("exit of %s: %s", command, log).isZero();
        log.stream().filter(line -> line.contains("CONSOLE")).forEach(console::add);
        return Files.readString(out);
      } finally {
        delete(home);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    }
  }
}
