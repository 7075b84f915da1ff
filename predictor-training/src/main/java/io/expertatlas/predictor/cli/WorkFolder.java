package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.json.GateWeights;
import io.expertatlas.predictor.store.StateStore;
import io.expertatlas.predictor.store.StateStoreWriter;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;
import me.tongfei.progressbar.ProgressBar;

/**
 * The folder beside the output that holds the state store and the checkpoints until all is done: a
 * training that was interrupted goes on from it.
 */
final class WorkFolder {
  private static final String CHECKPOINT = ".checkpoint";

  private final Path path;

  private WorkFolder(Path path) {
    this.path = path;
  }

  /**
   * Makes the folder of an output.
   *
   * @param resume whether to keep what an interrupted training left there
   */
  static WorkFolder of(Path output, boolean resume) throws IOException {
    Path absolute = output.toAbsolutePath().normalize();
    WorkFolder work =
        new WorkFolder(absolute.resolveSibling(".%s.work".formatted(absolute.getFileName())));
    if (Files.exists(work.path) && !resume) {
      work.delete();
    }

    Files.createDirectories(work.path);
    return work;
  }

  Path path() {
    return path;
  }

  void delete() throws IOException {
    try (Stream<Path> files = Files.list(path)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }

    Files.delete(path);
  }

  /** Deletes the folder if no layer has a checkpoint in it: there is nothing to resume. */
  void deleteIfUseless() throws IOException {
    boolean useful;
    try (Stream<Path> files = Files.list(path)) {
      useful = files.anyMatch(file -> file.toString().endsWith(CHECKPOINT));
    }

    if (!useful) {
      delete();
    }
  }

  /** What is trained on, in words. */
  static String origin(TraceSource source, TokenSelection selection, long tokens) {
    return "%s (%s), %d tokens".formatted(source.path().toAbsolutePath(), selection, tokens);
  }

  /**
   * The states of a trace: those that are here already, or read anew.
   *
   * @param gates their checkpoint, and what was read from it; checked against the first tokens
   */
  StateStore store(
      TraceSource source,
      TokenSelection selection,
      RouterStatesReader reader,
      PredictedModel model,
      Path checkpoint,
      Optional<GateWeights> gates)
      throws IOException {
    String origin = origin(source, selection, reader.tokens());
    if (StateStore.isComplete(path)) {
      StateStore store = StateStore.open(path);
      if (!store.origin().equals(origin) || !store.model().equals(model)) {
        throw new PredictorFormatException(
            "Cannot resume %s: its states are of %s, asked for is %s"
                .formatted(path, store.origin(), origin));
      }

      return store;
    }

    checkRoom(reader.tokens(), model);
    try (StateStoreWriter writer = new StateStoreWriter(path, model);
        ProgressBar bar = Terminal.progress("read states", reader.tokens())) {
      long token = 0;
      for (Optional<RouterStates> next = reader.next(); next.isPresent(); next = reader.next()) {
        RouterStates states = next.get();
        if (token == 0 && gates.isPresent()) {
          GateCheck.check(gates.get(), checkpoint, states);
        }

        long from = token;
        writer.add(states, index -> selection.keeps(from + index, states.routes().sequence(index)));
        token += states.tokens();
        bar.stepTo(token);
      }

      return writer.finish(origin);
    }
  }

  private void checkRoom(long tokens, PredictedModel model) throws IOException {
    long bytes =
        4L * tokens * model.shape().layers() * (model.hiddenSize() + model.shape().experts());
    long room = path.toFile().getUsableSpace();
    if (bytes > room) {
      throw new IOException(
          "Cannot keep the states of %d tokens in %s: they take %d bytes, %d are free"
              .formatted(tokens, path, bytes, room));
    }
  }
}
