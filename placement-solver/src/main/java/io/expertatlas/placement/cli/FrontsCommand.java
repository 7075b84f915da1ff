package io.expertatlas.placement.cli;

import io.expertatlas.placement.json.FrontParser;
import io.expertatlas.placement.report.FrontPage;
import io.expertatlas.placement.solver.Front;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Draws the fronts of several runs of {@code place --pareto} in one page. */
@Command(
    name = "fronts",
    description = "Draws the fronts of several runs of 'place --pareto' in one page.",
    mixinStandardHelpOptions = true)
final class FrontsCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--front",
      required = true,
      arity = "1..*",
      paramLabel = "D",
      description = "Folder of a front, or its front.json; LABEL=D names it in the page.")
  private List<String> fronts;

  @Option(names = "--report", required = true, paramLabel = "FILE", description = "Page to write.")
  private Path report;

  @Override
  public Integer call() throws IOException {
    List<Front> read = new ArrayList<>();
    for (String argument : fronts) {
      PlacementInput input = PlacementInput.parse(argument);
      Path path = Path.of(input.what());
      Front front = FrontParser.read(Files.isDirectory(path) ? path.resolve("front.json") : path);
      read.add(input.label().equals(argument) ? front : front.named(input.label()));
    }

    try {
      FrontPage.of(read).write(report);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }

    PrintWriter err = spec.commandLine().getErr();
    err.printf("%d fronts: open %s in a browser%n", read.size(), report);
    err.flush();
    return 0;
  }
}
