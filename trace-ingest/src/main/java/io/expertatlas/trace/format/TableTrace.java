package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A trace in lines of text: one for each token, or one for each token and layer, the lines of a
 * token together and in the order of the first token's layers. Opening counts the lines and
 * remembers where every {@value #BLOCK_TOKENS}th token begins.
 */
final class TableTrace implements RouteBlocks {
  private static final int BLOCK_TOKENS = 1024;

  private final Path path;
  private final LineFile file; // one for all reading: a compressed file is decompressed once
  private final TableRow.Parser parser;
  private final ModelShape shape;
  private final boolean weights;
  private final long[] layers; // labels; one entry: a line holds all layers
  private final boolean sequences;
  private final boolean positions;
  private final long[] blockTokens;
  private final long[] blockOffset; // byte
  private final long[] blockLine; // lines before it
  private final SequenceCounter counter = new SequenceCounter();

  private TableTrace(
      TraceSource source,
      LineFile file,
      TableRow.Parser parser,
      int headerLines,
      List<TableRow> first) {
    this.path = source.path();
    this.file = file;
    this.parser = parser;
    TableRow row = first.get(0);
    this.layers = first.stream().mapToLong(TableRow::layer).toArray();
    int topK = row.ids()[0].length;
    this.shape =
        new ModelShape(
            layers[0] == TableRow.ALL ? row.ids().length : layers.length,
            Sources.experts(source, topK),
            topK);
    this.weights = row.weights().length > 0;
    this.sequences = row.sequence() != TableRow.ABSENT;
    this.positions = row.position() != TableRow.ABSENT;
    List<long[]> blocks = new ArrayList<>(); // tokens, offset, lines before
    long lines = 0;
    skipHeader(file, headerLines);
    long offset = file.offset();
    long number = file.number();
    for (; file.read().isPresent(); offset = file.offset(), number = file.number(), lines++) {
      if (lines % ((long) BLOCK_TOKENS * layers.length) == 0) {
        blocks.add(new long[] {0, offset, number});
      }

      if (lines % layers.length == layers.length - 1) {
        blocks.get(blocks.size() - 1)[0]++;
      }
    }

    if (lines % layers.length != 0) {
      throw new TraceFormatException(
          "Truncated table: %s has %d lines, no multiple of the %d layers of its first token"
              .formatted(path, lines, layers.length));
    }

    this.blockTokens = blocks.stream().mapToLong(block -> block[0]).toArray();
    this.blockOffset = blocks.stream().mapToLong(block -> block[1]).toArray();
    this.blockLine = blocks.stream().mapToLong(block -> block[2]).toArray();
  }

  /**
   * Opens a table.
   *
   * @param headerLines lines that hold no token
   * @throws TraceFormatException if it holds no token, whose lines would say the shape
   */
  static TableTrace open(TraceSource source, TableRow.Parser parser, int headerLines) {
    Sources.refuseColumns(source);
    LineFile file = LineFile.open(source.path());
    try {
      return new TableTrace(
          source, file, parser, headerLines, first(file, source, parser, headerLines));
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  /** The lines of the first token. */
  private static List<TableRow> first(
      LineFile file, TraceSource source, TableRow.Parser parser, int headerLines) {
    List<TableRow> first = new ArrayList<>();
    skipHeader(file, headerLines);
    for (var line = file.read(); line.isPresent(); line = file.read()) {
      TableRow row = parser.parse(line.get(), place(source.path(), file.number()));
      boolean isNext =
          !first.isEmpty()
              && (row.layer() == TableRow.ALL
                  || row.layer() <= first.get(first.size() - 1).layer());
      if (isNext || first.size() > ModelShape.MAX_EXPERTS) {
        break;
      }

      first.add(row);
    }

    if (first.isEmpty()) {
      throw new TraceFormatException(
          "Cannot read routes from %s: it holds no token, so its layers and top-k are not known"
              .formatted(source.path()));
    }

    return first;
  }

  private static void skipHeader(LineFile file, int lines) {
    file.seek(0, 0);
    for (int i = 0; i < lines; i++) {
      file.read();
    }
  }

  private static String place(Path path, long line) {
    return "%s, line %d".formatted(path, line);
  }

  @Override
  public ModelShape shape() {
    return shape;
  }

  @Override
  public long[] blockTokens() {
    return blockTokens.clone();
  }

  @Override
  public boolean hasWeights() {
    return weights;
  }

  @Override
  public void start(long token) {
    if (positions || !sequences) {
      return; // nothing to count
    }

    long before = 0;
    for (int block = 0; before < token; before += blockTokens[block++]) {
      readRows(
          block,
          0,
          (int) Math.min(blockTokens[block], token - before),
          (index, row, line) -> {
            if (index % layers.length == 0) {
              counter.next(row.sequence());
            }
          });
    }
  }

  private interface RowSink {
    void accept(int index, TableRow row, long line);
  }

  /** Reads the lines of tokens of a block. */
  private void readRows(int block, long from, int count, RowSink sink) {
    int lines = count * layers.length;
    file.seek(blockOffset[block], blockLine[block]);
    for (long skipped = 0; skipped < from * layers.length; skipped++) {
      file.read();
    }

    for (int i = 0; i < lines; i++) {
      String line =
          file.read()
              .orElseThrow(
                  () ->
                      new TraceFormatException(
                          "Truncated table: %s. Maybe it changed meanwhile".formatted(path)));
      sink.accept(i, parser.parse(line, place(path, file.number())), file.number());
    }
  }

  @Override
  public RoutingTrace routes(int block, long from, int count) {
    long[] lineOf = new long[count];
    RouteBuffer buffer =
        new RouteBuffer(shape, count, weights, path, token -> "line " + lineOf[token]);
    readRows(
        block,
        from,
        count,
        (index, row, line) -> {
          int token = index / layers.length;
          lineOf[token] = line;
          put(buffer, token, index % layers.length, row, line);
        });
    if (!sequences && !positions) {
      long first = from + Arrays.stream(blockTokens, 0, block).sum();
      for (int token = 0; token < count; token++) {
        buffer.position[token] = Math.toIntExact(first + token);
      }
    }

    return buffer.build();
  }

  private void put(RouteBuffer buffer, int token, int index, TableRow row, long line) {
    if (row.layer() != layers[index]) {
      throw new TraceFormatException(
          "Invalid layer %d in %s, line %d: expected %d, as in the first token"
              .formatted(row.layer(), path, line, layers[index]));
    }

    int rows = layers.length == 1 && layers[0] == TableRow.ALL ? shape.layers() : 1;
    checkLists(row.ids(), rows, "expert ids", line);
    if (weights || row.weights().length > 0) {
      checkLists(row.weights(), weights ? rows : 0, "weights", line);
    }

    for (int i = 0; i < rows; i++) {
      for (int rank = 0; rank < shape.topK(); rank++) {
        buffer.put(token, index + i, rank, row.ids()[i][rank]);
        if (weights) {
          buffer.weigh(token, index + i, rank, row.weights()[i][rank]);
        }
      }
    }

    if ((row.sequence() != TableRow.ABSENT) != sequences
        || (row.position() != TableRow.ABSENT) != positions) {
      throw new TraceFormatException(
          "Invalid line %d in %s: it %s a sequence and %s a position, the first token is otherwise"
              .formatted(
                  line,
                  path,
                  row.sequence() == TableRow.ABSENT ? "lacks" : "has",
                  row.position() == TableRow.ABSENT ? "lacks" : "has"));
    }

    if (index > 0) {
      if (sequences && row.sequence() != buffer.sequence[token]
          || positions && row.position() != buffer.position[token]) {
        throw new TraceFormatException(
            "Invalid line %d in %s: another sequence or position than in the lines before it, of the same token"
                .formatted(line, path));
      }

      return;
    }

    buffer.sequence[token] = sequences ? row.sequence() : 0;
    buffer.phase[token] = (byte) Math.max(0, row.phase());
    if (positions) {
      buffer.position[token] = row.position();
    } else if (sequences) {
      buffer.position[token] = counter.next(row.sequence());
    }
  }

  private void checkLists(Object[] lists, int rows, String what, long line) {
    int width = shape.topK();
    boolean fits = lists.length == rows;
    for (int i = 0; fits && i < rows; i++) {
      fits = java.lang.reflect.Array.getLength(lists[i]) == width;
    }

    if (!fits) {
      throw new TraceFormatException(
          "Invalid number of %s in %s, line %d: expected %d layer%s with %d each, as in the first token"
              .formatted(what, path, line, rows, rows == 1 ? "" : "s", width));
    }
  }

  @Override
  public void close() {
    file.close();
  }
}
