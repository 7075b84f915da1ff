package io.expertatlas.runtime.tokenizer;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.expertatlas.runtime.CheckpointException;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.ModelConfig;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/**
 * The {@code tokenizer.json} of a checkpoint. Its native library comes out of the jar; nothing is
 * ever downloaded.
 */
public final class TextCodec implements AutoCloseable {
  static {
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("OPT_OUT_TRACKING", "true");
    System.setProperty("RUST_FLAVOR", "cpu"); // others would be downloaded
  }

  private final HuggingFaceTokenizer tokenizer;
  private final ModelConfig config;

  private TextCodec(HuggingFaceTokenizer tokenizer, ModelConfig config) {
    this.tokenizer = tokenizer;
    this.config = config;
  }

  /**
   * Reads {@code tokenizer.json}.
   *
   * @throws CheckpointException if it is missing or broken
   */
  public static TextCodec open(Path folder, ModelConfig config) throws IOException {
    Path file = folder.resolve("tokenizer.json");
    if (!Files.isRegularFile(file)) {
      throw new CheckpointException(
          "Missing file %s. Maybe give the prompts as --prompt-tokens".formatted(file));
    }

    try (InputStream in = Files.newInputStream(file)) {
      return new TextCodec(
          HuggingFaceTokenizer.newInstance(
              in, Map.of("addSpecialTokens", "true", "truncation", "false", "padding", "false")),
          config);
    } catch (RuntimeException e) {
      throw new CheckpointException(
          "Cannot read tokenizer %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  /**
   * The input ids of a text: as the tokenizer makes them, with the token that the model wants at
   * the begin (Mixtral) or at the end (NLLB-MoE) if the tokenizer does not add it by itself.
   */
  public int[] encode(String text) {
    int[] ids = Arrays.stream(tokenizer.encode(text).getIds()).mapToInt(Math::toIntExact).toArray();
    if (config instanceof MixtralConfig mixtral) {
      int begin = mixtral.beginOfSequence();
      if (begin < 0 || (ids.length > 0 && ids[0] == begin)) {
        return ids;
      }

      int[] more = new int[ids.length + 1];
      more[0] = begin;
      System.arraycopy(ids, 0, more, 1, ids.length);
      return more;
    }

    if (ids.length > 0 && ids[ids.length - 1] == config.endOfSequence()) {
      return ids;
    }

    int[] more = Arrays.copyOf(ids, ids.length + 1);
    more[ids.length] = config.endOfSequence();
    return more;
  }

  /** The text of ids, special tokens left out. */
  public String decode(int[] ids) {
    return tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), true);
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
