package io.expertatlas.runtime.json;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.expertatlas.runtime.pipeline.PipelineFormatException;
import io.expertatlas.runtime.pipeline.RecordedCounts;
import io.expertatlas.runtime.pipeline.StepRouting;
import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Where the tokens of a training's steps went, as JSON, format-version 1.
 *
 * <pre>
 * layers, experts, top-k          of the model
 * batch, micro-batches            sequences of a step, and its parts
 * sequence-length                 tokens of a sequence
 * parameters                      of the model
 * first-step                      number of the first step, from 1
 * counts                          [step][layer][micro-batch][expert] tokens
 * </pre>
 */
public final class RecordedCountsParser {
  private static final JsonFactory FACTORY = new JsonFactory();

  private RecordedCountsParser() {}

  /**
   * Reads a file.
   *
   * @throws PipelineFormatException if it holds no such counts; with file and field
   * @throws IOException if it cannot be read
   */
  public static RecordedCounts read(Path file) throws IOException {
    return Fields.read(file, RecordedCountsParser::parse);
  }

  /**
   * Parses counts.
   *
   * @param name of the file, for messages
   * @throws PipelineFormatException if it holds none; with name and field
   */
  public static RecordedCounts fromJson(String json, String name) {
    return Fields.parse(json, name, RecordedCountsParser::parse);
  }

  private static RecordedCounts parse(Fields root) {
    root.version();
    int layers = root.count("layers");
    int microBatches = root.count("micro-batches");
    int experts = root.count("experts");
    List<StepRouting> steps = new ArrayList<>();
    for (int[][][] step : root.wholeArrays("counts", layers, microBatches, experts)) {
      steps.add(new StepRouting(step, new int[0][][]));
    }

    return new RecordedCounts(
        root.count("top-k"),
        root.count("batch"),
        root.count("sequence-length"),
        root.whole("parameters", 1, Long.MAX_VALUE),
        root.count("first-step"),
        steps);
  }

  /**
   * Writes a file, a line for each step.
   *
   * @throws IOException if it cannot be written
   */
  public static void write(RecordedCounts counts, Path file) throws IOException {
    try (Writer out = Files.newBufferedWriter(file);
        JsonGenerator json = FACTORY.createGenerator(out)) {
      json.writeStartObject();
      json.writeNumberField("format-version", 1);
      json.writeNumberField("layers", counts.layers());
      json.writeNumberField("experts", counts.experts());
      json.writeNumberField("top-k", counts.topK());
      json.writeNumberField("batch", counts.batch());
      json.writeNumberField("micro-batches", counts.microBatches());
      json.writeNumberField("sequence-length", counts.sequenceLength());
      json.writeNumberField("parameters", counts.parameters());
      json.writeNumberField("first-step", counts.firstStep());
      json.writeArrayFieldStart("counts");
      for (StepRouting step : counts.steps()) {
        json.writeRaw('\n');
        write(step, json);
      }

      json.writeEndArray();
      json.writeEndObject();
      json.writeRaw('\n');
    }
  }

  private static void write(StepRouting step, JsonGenerator json) throws IOException {
    json.writeStartArray();
    for (int layer = 0; layer < step.layers(); layer++) {
      json.writeStartArray();
      for (int chunk = 0; chunk < step.chunks(); chunk++) {
        int[] tokens = step.counts(layer, chunk);
        json.writeArray(tokens, 0, tokens.length);
      }

      json.writeEndArray();
    }

    json.writeEndArray();
  }
}
