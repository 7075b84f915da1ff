package io.expertatlas.trace.spark;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenRows;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.parquet.DatasetPartColumns;
import io.expertatlas.trace.parquet.HadoopDataset;
import io.expertatlas.trace.spark.TraceInputPartition.Piece;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** The tokens of a partition, a batch at a time. */
interface TokenBatches extends AutoCloseable {
  /** The next tokens, at least one, valid until the next call; or empty at the end. */
  Optional<TokenRows> next();

  /** Index in the whole trace of the first token of what {@link #next} gave. */
  long firstToken();

  @Override
  void close();

  /** Reads a range of a raw file through its format. */
  final class Raw implements TokenBatches {
    private final TraceInputPartition.Raw partition;
    private final Supplier<Optional<? extends TokenRows>> batches;
    private final Runnable end;
    private long read;
    private long first;

    private Raw(
        TraceInputPartition.Raw partition,
        Supplier<Optional<? extends TokenRows>> batches,
        Runnable end) {
      this.partition = partition;
      this.batches = batches;
      this.end = end;
    }

    /** Without what the routers saw. */
    static Raw routes(TraceInputPartition.Raw partition) {
      TraceSource source = partition.source().source();
      TraceReader reader = TraceFormat.find(source).open(source, partition.range());
      return new Raw(partition, reader::next, reader::close);
    }

    /** With it: batches are {@link io.expertatlas.trace.RouterStates}. */
    static Raw states(TraceInputPartition.Raw partition) {
      TraceSource source = partition.source().source();
      RouterStatesReader reader = RouterStatesFormat.find(source).open(source, partition.range());
      return new Raw(partition, reader::next, reader::close);
    }

    @Override
    public Optional<TokenRows> next() {
      Optional<TokenRows> rows = batches.get().map(batch -> batch);
      if (rows.isEmpty() && read != partition.to() - partition.from()) {
        throw new TraceFormatException(
            "Cannot read tokens %d:%d of %s: got %d. Maybe it changed meanwhile"
                .formatted(partition.from(), partition.to(), partition.source().path(), read));
      }

      first = partition.from() + read;
      read += rows.map(TokenRows::tokens).orElse(0);
      return rows;
    }

    @Override
    public long firstToken() {
      return first;
    }

    @Override
    public void close() {
      end.run();
    }
  }

  /** Reads pieces of a dataset, some of its columns. */
  final class Dataset implements TokenBatches {
    private final Path folder;
    private final Iterator<Piece> pieces;
    private final ModelShape shape;
    private final boolean weights;
    private final List<String> columns;
    private final int batchTokens;
    private final Configuration hadoop;
    private Optional<DatasetPartColumns> open = Optional.empty();
    private long left; // rows of the open piece
    private long first;
    private long next; // token behind what was read

    Dataset(
        TraceInputPartition.Dataset partition,
        ModelShape shape,
        boolean weights,
        List<String> columns,
        int batchTokens,
        Configuration hadoop) {
      this.folder = new Path(partition.folder());
      this.pieces = partition.pieces().iterator();
      this.shape = shape;
      this.weights = weights;
      this.columns = columns;
      this.batchTokens = batchTokens;
      this.hadoop = hadoop;
    }

    @Override
    public Optional<TokenRows> next() {
      while (left == 0) {
        close();
        if (!pieces.hasNext()) {
          return Optional.empty();
        }

        start(pieces.next());
      }

      DatasetPartColumns part = open.orElseThrow();
      if (!part.read((int) Math.min(left, batchTokens))) {
        throw new TraceFormatException(
            "Cannot read %d rows more of a part of %s. Maybe it changed meanwhile"
                .formatted(left, HadoopDataset.display(folder)));
      }

      left -= part.tokens();
      first = next;
      next += part.tokens();
      return Optional.of(part);
    }

    private void start(Piece piece) {
      open =
          Optional.of(
              new DatasetPartColumns(
                  HadoopDataset.file(folder, piece.file(), hadoop),
                  new Part(piece.file(), piece.partRows(), piece.partBytes(), ""),
                  shape,
                  weights,
                  columns,
                  piece.groups().stream().mapToInt(Integer::intValue).toArray()));
      open.get().skip(piece.skip(), batchTokens);
      left = piece.rows();
      next = piece.firstToken();
    }

    @Override
    public long firstToken() {
      return first;
    }

    @Override
    public void close() {
      open.ifPresent(DatasetPartColumns::close);
      open = Optional.empty();
    }
  }
}
