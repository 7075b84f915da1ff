package io.expertatlas.trace.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TraceSource;
import java.util.Locale;
import java.util.Optional;

/** What one pass over router states finds; reading them checks them. */
record StatesInspection(long tokens, int hiddenSize, RouterStates.Scores scores) {
  static StatesInspection of(TraceSource source) {
    try (RouterStatesReader reader = RouterStatesFormat.openStates(source)) {
      long tokens = 0;
      for (Optional<RouterStates> next = reader.next(); next.isPresent(); next = reader.next()) {
        tokens += next.get().tokens();
      }

      return new StatesInspection(tokens, reader.hiddenSize(), reader.scores());
    }
  }

  private String scoresName() {
    return scores.name().toLowerCase(Locale.ROOT);
  }

  void addTo(ObjectNode root) {
    ObjectNode states = root.putObject("states");
    states.put("tokens", tokens);
    states.put("hidden-size", hiddenSize);
    states.put("scores", scoresName());
  }

  @Override
  public String toString() {
    return "%s; %s"
        .formatted(
            hiddenSize == 0 ? "no hidden states" : "hidden states of " + hiddenSize,
            scores == RouterStates.Scores.NONE ? "no router scores" : "router " + scoresName());
  }
}
