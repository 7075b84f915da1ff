package io.expertatlas.placement.cli;

import io.expertatlas.placement.format.LayerRows;
import io.expertatlas.placement.format.ModelConfig;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/** The option that describes the model's layers: a picocli {@code @Mixin}. */
final class ModelOptions {
  @Option(
      names = "--model-config",
      paramLabel = "FILE",
      description =
          "config.json of the model (Hugging Face): which layers are dense, MoE or for MTP in"
              + " files of engines.")
  private Path config;

  /** The configuration, if one is given. */
  Optional<ModelConfig> read() throws IOException {
    return config == null ? Optional.empty() : Optional.of(ModelConfig.read(config));
  }

  /** The file, if one is given. */
  Optional<Path> file() {
    return Optional.ofNullable(config);
  }

  /** Where the layers of a shape stand in the model. */
  static LayerRows rows(Optional<ModelConfig> config, ModelShape shape) {
    return config.isEmpty()
        ? LayerRows.plain(shape.layers())
        : LayerRows.of(config.get(), shape.layers(), shape.experts());
  }
}
