package io.expertatlas.runtime.cli;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.json.PredictorFiles;
import io.expertatlas.predictor.json.SavedPredictor;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.model.Foretelling;
import io.expertatlas.runtime.model.RecordedRoutes;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/**
 * What foretells the experts that are fetched ahead: {@code none}, {@code popularity}, {@code
 * next-gate}, {@code oracle}, or the folder of a predictor.
 *
 * @param text as it was given
 */
record Prefetch(String text) {
  private static final Map<String, Foretelling> KNOWN =
      Map.of(
          "none", Foretelling.NONE,
          "popularity", Foretelling.POPULARITY,
          "next-gate", Foretelling.NEXT_GATE);

  boolean isNone() {
    return text.equals("none");
  }

  boolean isOracle() {
    return text.equals("oracle");
  }

  /**
   * Checks what can be checked before a model is opened.
   *
   * @throws ParameterException if it means nothing, or experts stay on the device
   */
  void check(CommandSpec spec, DeviceOptions device) {
    String wrong = "";
    if (!isOracle() && !KNOWN.containsKey(text) && !Files.isDirectory(Path.of(text))) {
      wrong =
          "Invalid --predictor: %s, expected none, popularity, next-gate, oracle, or the folder of a predictor"
              .formatted(text);
    } else if (!isNone() && !device.offloads()) {
      wrong =
          "Invalid --predictor: %s, experts stay on the device. Maybe add --offload popularity"
              .formatted(text);
    }

    if (!wrong.isEmpty()) {
      throw new ParameterException(spec.commandLine(), wrong);
    }
  }

  /**
   * Makes it for a model.
   *
   * @param routes what the oracle says; empty: for others
   * @throws IllegalArgumentException if experts of this model, or on so many ranks, are not fetched
   *     ahead
   * @throws IOException if a predictor cannot be read
   */
  Foretelling foretelling(ModelConfig config, int ranks, Optional<RecordedRoutes> routes)
      throws IOException {
    if (isNone()) {
      return Foretelling.NONE;
    }

    if (!(config instanceof MixtralConfig mixtral) || ranks > 1) {
      throw new IllegalArgumentException(
          "Cannot fetch experts ahead by %s: %s on %d ranks, only Mixtral on one rank"
              .formatted(text, config.architecture(), ranks));
    }

    if (isOracle()) {
      return Foretelling.by(routes.orElseThrow());
    }

    if (KNOWN.containsKey(text)) {
      return KNOWN.get(text);
    }

    SavedPredictor saved = PredictorFiles.read(Path.of(text));
    saved
        .predictor()
        .model()
        .checkFits(new PredictedModel("", config.shape(), mixtral.hidden()), text);
    return Foretelling.by(saved.predictor());
  }

  /**
   * Reads the routes of an earlier run.
   *
   * @throws TraceFormatException if they cannot be read or are of another model
   */
  static RecordedRoutes routes(Path trace, ModelShape shape) {
    RecordedRoutes routes = new RecordedRoutes(shape);
    TraceSource source = TraceSource.of(trace).withExperts(shape.experts());
    try (TraceReader reader = TraceFormat.openTrace(source, TokenSelection.ALL)) {
      for (Optional<RoutingTrace> next = reader.next(); next.isPresent(); next = reader.next()) {
        routes.add(next.get());
      }
    } catch (TraceFormatException | IllegalArgumentException e) {
      throw new TraceFormatException(
          "Cannot foretell by the routes of %s: %s".formatted(trace, e.getMessage()), e);
    }

    return routes;
  }
}
