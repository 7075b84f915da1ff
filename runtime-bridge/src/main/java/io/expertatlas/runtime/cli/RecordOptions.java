package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.json.CaptureWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/** The options of what is recorded of a run: a picocli {@code @Mixin}. */
final class RecordOptions {
  @Option(
      names = "--record",
      paramLabel = "T",
      description =
          "Write what the routers chose as a capture folder, to be read by ingest, analyze,"
              + " evaluate; of an encoder-decoder, T/encoder and T/decoder.")
  private Path record;

  @Option(names = "--overwrite", description = "Replace an earlier recording.")
  private boolean overwrite;

  /** Whether something is. */
  boolean isAsked() {
    return record != null;
  }

  /**
   * Checks, before anything runs, that a recording could be written.
   *
   * @throws IOException if not
   */
  void check(ModelConfig config) throws IOException {
    if (isAsked()) {
      folder(config).check();
    }
  }

  private OutputFolder folder(ModelConfig config) {
    Pattern names =
        config instanceof NllbMoeConfig ? Pattern.compile("encoder|decoder") : CaptureWriter.NAMES;
    return new OutputFolder(record, overwrite, "recording of routes", names);
  }

  /** Writes what was recorded, if that was asked for. */
  void write(String model, ModelConfig config, RouteRecorder recorder) throws IOException {
    if (isAsked()) {
      folder(config).write(folder -> write(model, config, recorder, folder));
    }
  }

  private static void write(String model, ModelConfig config, RouteRecorder recorder, Path folder)
      throws IOException {
    if (config instanceof NllbMoeConfig nllb) {
      int first = nllb.encoderMoeLayers();
      int encoderStep = nllb.encoderSparseStep();
      int decoderStep = nllb.decoderSparseStep();
      stack(model, "encoder", nllb, recorder, 0, first, encoderStep, folder);
      stack(model, "decoder", nllb, recorder, first, nllb.decoderMoeLayers(), decoderStep, folder);
    } else {
      ModelShape shape = config.shape();
      capture(model, config, "decoder", shape.layers(), 1).write(recorder.trace(0, shape), folder);
    }
  }

  private static void stack(
      String model,
      String name,
      NllbMoeConfig config,
      RouteRecorder recorder,
      int firstLayer,
      int layers,
      int sparseStep,
      Path folder)
      throws IOException {
    if (layers > 0) {
      Path inside = Files.createDirectory(folder.resolve(name));
      ModelShape shape = new ModelShape(layers, config.experts(), NllbMoeConfig.TOP_K);
      capture(model, config, name, layers, sparseStep)
          .write(recorder.trace(firstLayer, shape), inside);
    }
  }

  private static CaptureWriter capture(
      String model, ModelConfig config, String stack, int layers, int sparseStep) {
    List<Integer> moeLayers = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      moeLayers.add((layer + 1) * sparseStep - 1);
    }

    return new CaptureWriter(
        model, config.architecture(), stack, moeLayers, config.hidden(), "atlas run");
  }
}
