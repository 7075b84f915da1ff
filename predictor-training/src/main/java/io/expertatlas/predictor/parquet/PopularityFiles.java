package io.expertatlas.predictor.parquet;

import io.expertatlas.predictor.Scoring;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.parquet.hadoop.ParquetWriter;

/**
 * Writes the popularity of every iteration, from the gate and from one predictor, into a folder:
 * {@code popularity.parquet} (iteration, layer, source, head_out, expert, tokens), {@code
 * popularity-gate.npy} int64 {@code [iterations, layers, experts]}, and for each head-out h {@code
 * popularity-predictor-h.npy} int64 {@code [iterations, layers - h, experts]}, whose first layer is
 * layer h.
 */
public final class PopularityFiles implements Scoring.PopularitySink, AutoCloseable {
  private final ModelShape shape;
  private final String source;
  private final ParquetWriter<PopularityRow> rows;
  private final CountsNpy gate;
  private final List<CountsNpy> predicted = new ArrayList<>(); // [head-out - 1]

  /**
   * Begins the files.
   *
   * @param folder exists and has none of them
   * @param source the predictor's word
   * @param heads greatest head-out
   */
  public PopularityFiles(Path folder, ModelShape shape, String source, int heads)
      throws IOException {
    this.shape = shape;
    this.source = source;
    this.rows = PopularityParquet.create(folder.resolve("popularity.parquet"));
    this.gate =
        new CountsNpy(folder.resolve("popularity-gate.npy"), shape.layers(), shape.experts());
    for (int h = 1; h <= heads; h++) {
      predicted.add(
          new CountsNpy(
              folder.resolve("popularity-predictor-%d.npy".formatted(h)),
              shape.layers() - h,
              shape.experts()));
    }
  }

  @Override
  public void iteration(int iteration, long[] gateCounts, long[][][] predictedCounts) {
    try {
      gate.add(gateCounts);
      write(iteration, 0, "gate", 0, gateCounts);
      for (int h = 1; h <= predicted.size(); h++) {
        long[] counts = predictedCounts[0][h - 1];
        predicted.get(h - 1).add(counts);
        write(iteration, h, source, h, counts);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot write popularity: " + e.getMessage(), e);
    }
  }

  private void write(int iteration, int firstLayer, String from, int headOut, long[] counts)
      throws IOException {
    for (int i = 0; i < counts.length; i++) {
      rows.write(
          new PopularityRow(
              iteration,
              firstLayer + i / shape.experts(),
              from,
              headOut,
              i % shape.experts(),
              counts[i]));
    }
  }

  @Override
  public void close() throws IOException {
    rows.close();
    gate.close();
    for (CountsNpy file : predicted) {
      file.close();
    }
  }
}
