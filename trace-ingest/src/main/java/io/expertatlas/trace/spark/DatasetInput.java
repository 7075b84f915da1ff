package io.expertatlas.trace.spark;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.parquet.HadoopDataset;
import io.expertatlas.trace.parquet.HadoopDataset.RowGroup;
import io.expertatlas.trace.spark.TraceInputPartition.Piece;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * A dataset on any file system. Small parts share a task; a large part is cut at its row groups.
 * Footers are read only where they matter: of parts that are large or cut by the token range, and
 * of all if filters are pushed.
 */
final class DatasetInput implements TraceInput {
  private final Path folder;
  private final TraceManifest manifest;
  private final Configuration hadoop;

  DatasetInput(Path folder, TraceManifest manifest, SparkTraceReadConf conf, Configuration hadoop) {
    this.folder = folder;
    this.manifest = manifest;
    this.hadoop = hadoop;
    if (!conf.sequenceFile().isEmpty() || !conf.positionFile().isEmpty()) {
      throw new TraceFormatException(
          "Cannot use sequence-file or position-file with dataset %s: it has its own"
              .formatted(HadoopDataset.display(folder)));
    }

    conf.formatOptions().check(DATASET, List.of());
    int experts = manifest.shape().experts();
    if (conf.experts().orElse(experts) != experts) {
      throw new TraceFormatException(
          "Invalid number of experts: %d by the option experts, %d by the manifest of %s"
              .formatted(conf.experts().getAsInt(), experts, HadoopDataset.display(folder)));
    }
  }

  @Override
  public ModelShape shape() {
    return manifest.shape();
  }

  @Override
  public boolean weights() {
    return manifest.weights();
  }

  @Override
  public RouterFacts routerFacts() {
    throw new TraceFormatException(
        "Cannot read router states from %s: a routing-trace dataset holds routes only"
            .formatted(HadoopDataset.display(folder)));
  }

  @Override
  public long tokens() {
    return manifest.tokens();
  }

  @Override
  public String describe() {
    return "dataset " + HadoopDataset.display(folder);
  }

  @Override
  public TracePlan plan(TokenRange range, PushedFilters pushed, long splitTokens) {
    Tasks tasks = new Tasks(splitTokens);
    int partsLeft = 0;
    long first = 0;
    for (Part part : manifest.parts()) {
      long from = Math.max(range.from() - first, 0);
      long to = Math.min(range.to() - first, part.rows());
      long partFirst = first;
      first += part.rows();
      if (from >= to) {
        continue;
      }

      boolean whole = from == 0 && to == part.rows();
      if (whole && pushed.isNone() && part.rows() <= splitTokens) {
        tasks.add(
            new Piece(
                part.file(), part.rows(), part.bytes(), List.of(), 0, part.rows(), partFirst));
        partsLeft++;
      } else if (addRowGroups(tasks, part, partFirst, from, to, pushed)) {
        partsLeft++;
      }
    }

    tasks.endTask();
    return new TracePlan(
        tasks.partitions,
        tasks.tokens,
        "%d of %d parts".formatted(partsLeft, manifest.parts().size()));
  }

  private boolean addRowGroups(
      Tasks tasks, Part part, long partFirst, long from, long to, PushedFilters pushed) {
    boolean any = false;
    long first = 0;
    for (RowGroup group :
        HadoopDataset.rowGroups(
            HadoopDataset.file(folder, part.file(), hadoop), part, shape(), weights())) {
      long skip = Math.max(from - first, 0);
      long end = Math.min(to - first, group.rows());
      long firstToken = partFirst + first + skip;
      first += group.rows();
      if (skip < end
          && pushed.sequences().overlaps(group.sequences().min(), group.sequences().max())
          && pushed.positions().overlaps(group.positions().min(), group.positions().max())) {
        tasks.add(
            new Piece(
                part.file(),
                part.rows(),
                part.bytes(),
                List.of(group.index()),
                skip,
                end - skip,
                firstToken));
        any = true;
      }
    }

    return any;
  }

  /** Fills tasks with pieces up to the wanted number of tokens. */
  private final class Tasks {
    private final long splitTokens;
    private final List<TraceInputPartition> partitions = new ArrayList<>();
    private List<Piece> pieces = new ArrayList<>();
    private long taskTokens;
    private long tokens;

    Tasks(long splitTokens) {
      this.splitTokens = splitTokens;
    }

    void add(Piece piece) {
      if (taskTokens + piece.rows() > splitTokens) {
        endTask();
      }

      pieces.add(piece);
      taskTokens += piece.rows();
      tokens += piece.rows();
    }

    void endTask() {
      if (!pieces.isEmpty()) {
        partitions.add(new TraceInputPartition.Dataset(folder.toString(), List.copyOf(pieces)));
      }

      pieces = new ArrayList<>();
      taskTokens = 0;
    }
  }
}
