package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.json.PromptFile;
import io.expertatlas.runtime.tokenizer.TextCodec;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The options that bring prompts: a picocli {@code @Mixin}. */
final class PromptOptions {
  @Option(
      names = "--prompt",
      paramLabel = "TEXT",
      description = "A prompt; may be given several times.")
  private List<String> prompts = new ArrayList<>();

  @Option(
      names = "--prompts",
      paramLabel = "FILE",
      description = "JSON Lines: a text or {\"prompt\": text} on each line.")
  private Path file;

  @Option(
      names = "--prompt-tokens",
      paramLabel = "FILE",
      description = "Token ids, .npy int32 [batch, length]; -1 fills up short rows.")
  private Path tokens;

  @Option(
      names = "--random-prompts",
      paramLabel = "BxL",
      converter = RandomPrompts.Converter.class,
      description = "B prompts of L random ids, by --seed: for measurements.")
  private RandomPrompts random;

  /** Checks that there is some prompt. */
  void check(CommandSpec spec) {
    if (prompts.isEmpty() && file == null && tokens == null && random == null) {
      throw new ParameterException(
          spec.commandLine(),
          "Missing prompt: one of --prompt TEXT, --prompts FILE, --prompt-tokens FILE,"
              + " --random-prompts BxL");
    }
  }

  /** Whether a tokenizer is needed to read them. */
  boolean hasText() {
    return !prompts.isEmpty() || file != null;
  }

  /** The ids of all prompts: texts in order, then rows of ids. */
  List<int[]> read(Optional<TextCodec> codec, ModelConfig config, long seed) throws IOException {
    List<String> texts = new ArrayList<>(prompts);
    if (file != null) {
      texts.addAll(PromptFile.read(file));
    }

    List<int[]> ids = new ArrayList<>();
    for (String text : texts) {
      ids.add(
          codec
              .orElseThrow(
                  () ->
                      new IllegalArgumentException(
                          "Cannot read a text without a tokenizer. Maybe give --prompt-tokens"))
              .encode(text));
    }

    if (tokens != null) {
      ids.addAll(TokenArray.read(tokens));
    }

    if (random != null) {
      ids.addAll(random.draw(config.vocabulary(), seed));
    }

    check(ids, config);
    return ids;
  }

  private static void check(List<int[]> prompts, ModelConfig config) {
    if (prompts.isEmpty()) {
      throw new IllegalArgumentException("Invalid prompts: the files hold none");
    }

    for (int i = 0; i < prompts.size(); i++) {
      if (prompts.get(i).length == 0) {
        throw new IllegalArgumentException("Invalid prompt %d: it has no token".formatted(i));
      }

      if (prompts.get(i).length > config.maxPositions()) {
        throw new IllegalArgumentException(
            "Invalid prompt %d: %d tokens, the model has %d positions"
                .formatted(i, prompts.get(i).length, config.maxPositions()));
      }
    }
  }
}
