package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.torch.TorchTensor;
import io.expertatlas.trace.torch.TorchValue;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Reads a range of the tokens of an SGLang dump, a pass or a part of one at a time. */
final class SglangReader implements TraceReader {
  private static final int BATCH_CHOICES = 1 << 20;

  /** One forward pass of a rank. */
  private record Pass(SglangDump.Rank rank, TorchValue record, int tokens) {}

  private final SglangDump dump;
  private final List<Pass> passes = new ArrayList<>();
  private final Map<Integer, int[][]> maps = new TreeMap<>(); // rank -> [layer][physical]
  private final ModelShape shape;
  private final int[] moeLayers; // of the model
  private final long tokens;
  private final TokenRange range;
  private final SglangSequences sequences = new SglangSequences();
  private int pass; // the next to read, or being read
  private long before; // tokens of the passes before it
  private int read; // tokens of it that were read or passed over
  private int width; // choices that the last read record has room for
  private SglangSequences.Columns columns; // of the pass being read

  SglangReader(SglangDump dump, TraceSource source, TokenRange range) {
    this.dump = dump;
    this.range = range;
    long total = 0;
    int experts = 0;
    for (SglangDump.Rank rank : dump.ranks()) {
      int[][] map = rank.physicalToLogical();
      maps.put(rank.rank(), map);
      experts = Math.max(experts, SglangDump.experts(map));
      TorchValue records = rank.records();
      for (int i = 0; i < records.size(); i++) {
        TorchTensor ids = ids(records.at(i), map.length);
        passes.add(new Pass(rank, records.at(i), (int) ids.size(1)));
        total += ids.size(1);
      }
    }

    checkExperts(source, experts);
    checkRanks(source);
    this.tokens = total;
    Pass first =
        passes.stream()
            .filter(candidate -> candidate.tokens() > 0)
            .findFirst()
            .orElseThrow(
                () ->
                    new TraceFormatException(
                        "Cannot tell layers and top-k of %s: no token was recorded"
                            .formatted(source.path())));
    long[][] choices = read(first, 0, 1);
    this.moeLayers = moeLayers(choices);
    if (moeLayers.length == 0) {
      throw new TraceFormatException(
          "Invalid record at %s: token 0 chose no expert in any layer"
              .formatted(first.record().at()));
    }

    int topK = chosen(choices[moeLayers[0]], 0);
    if (topK > experts) {
      throw new TraceFormatException(
          "Invalid record at %s: token 0 chose %d experts, the model has %d"
              .formatted(first.record().at(), topK, experts));
    }

    this.shape = new ModelShape(moeLayers.length, experts, topK);
  }

  private static void checkExperts(TraceSource source, int experts) {
    if (source.experts().orElse(experts) != experts) {
      throw new TraceFormatException(
          "Invalid number of experts: %d by --experts, %d by the physical-to-logical map of %s"
              .formatted(source.experts().getAsInt(), experts, source.path()));
    }
  }

  private static TorchTensor ids(TorchValue record, int layers) {
    TorchTensor ids = record.key(SglangDump.TOP_K).tensor(3);
    if (ids.size(0) != layers || ids.size(2) < 1 || ids.size(1) > 1 << 24 || ids.size(2) > 1024) {
      throw record
          .key(SglangDump.TOP_K)
          .wrong("a tensor (%d layers, tokens, choices)".formatted(layers));
    }

    return ids;
  }

  /** Without data parallelism, all ranks see the same tokens: they must not be counted twice. */
  private void checkRanks(TraceSource source) {
    Map<Long, Pass> firsts = new TreeMap<>();
    int first = dump.ranks().get(0).rank();
    passes.stream()
        .filter(one -> one.rank().rank() == first)
        .forEach(one -> firsts.put(one.record().key("forward_pass_id").integer(), one));
    for (SglangDump.Rank rank : dump.ranks().subList(1, dump.ranks().size())) {
      boolean common = false;
      boolean same = true;
      for (Pass other : passes) {
        if (other.rank() == rank && other.tokens() > 0) {
          Pass one = firsts.get(other.record().key("forward_pass_id").integer());
          common |= one != null;
          same &= one == null || same(one.record(), other.record());
        }
      }

      if (common && same) {
        throw new TraceFormatException(
            "Cannot read ranks %d and %d of %s together: they recorded the same tokens. Maybe add --format-option rank=%d"
                .formatted(first, rank.rank(), source.path(), first));
      }
    }
  }

  private static boolean same(TorchValue one, TorchValue other) {
    return Arrays.equals(one.key("input_ids").integers(), other.key("input_ids").integers())
        && Arrays.equals(one.key("positions").integers(), other.key("positions").integers());
  }

  private static int[] moeLayers(long[][] choices) {
    int[] layers = new int[choices.length];
    int count = 0;
    for (int layer = 0; layer < choices.length; layer++) {
      if (choices[layer][0] >= 0) {
        layers[count++] = layer;
      }
    }

    return Arrays.copyOf(layers, count);
  }

  /** Choices of a token before the padding. */
  private int chosen(long[] ids, int from) {
    int count = 0;
    while (from + count < ids.length && count < width && ids[from + count] >= 0) {
      count++;
    }

    return count;
  }

  /** Physical ids of some tokens of a pass, {@code [layer][token * width + rank]}. */
  private long[][] read(Pass from, int first, int count) {
    TorchTensor ids = ids(from.record(), maps.get(from.rank().rank()).length);
    width = (int) ids.size(2);
    long[][] choices = new long[(int) ids.size(0)][count * width];
    for (int layer = 0; layer < choices.length; layer++) {
      ids.readIntegers((layer * ids.size(1) + first) * width, count * width, choices[layer]);
    }

    return choices;
  }

  @Override
  public ModelShape shape() {
    return shape;
  }

  @Override
  public long tokens() {
    return tokens;
  }

  @Override
  public boolean hasWeights() {
    return false;
  }

  @Override
  public Optional<RoutingTrace> next() {
    while (pass < passes.size() && before + read < range.to()) {
      Pass current = passes.get(pass);
      if (columns == null) {
        boolean newRank = pass == 0 || passes.get(pass - 1).rank() != current.rank();
        columns = sequences.pass(current.record(), current.tokens(), newRank);
      }

      read = (int) Math.max(read, Math.min(current.tokens(), range.from() - before));
      if (read < current.tokens()) {
        int most = Math.max(1, BATCH_CHOICES / Math.max(1, moeLayers.length * width));
        int count = (int) Math.min(range.to() - before - read, current.tokens() - read);
        RoutingTrace batch = batch(current, Math.min(most, count));
        read += batch.tokens();
        return Optional.of(batch);
      }

      before += current.tokens();
      read = 0;
      columns = null;
      pass++;
    }

    return Optional.empty();
  }

  private RoutingTrace batch(Pass current, int count) {
    long[][] physical = read(current, read, count);
    int[][] map = maps.get(current.rank().rank());
    int topK = shape.topK();
    short[] ids = new short[count * shape.choicesPerToken()];
    int moe = 0;
    for (int layer = 0; layer < physical.length; layer++) {
      boolean dense = moe == moeLayers.length || moeLayers[moe] != layer;
      for (int token = 0; token < count; token++) {
        int from = token * width;
        int chosen = chosen(physical[layer], from);
        if (chosen != (dense ? 0 : topK)
            || isNotPadding(physical[layer], from + chosen, from + width)) {
          throw new TraceFormatException(
              "Invalid choices at %s, layer %d, token %d: %s, expected %s"
                  .formatted(
                      current.record().key(SglangDump.TOP_K).at(),
                      layer,
                      read + token,
                      Arrays.toString(Arrays.copyOfRange(physical[layer], from, from + width)),
                      dense
                          ? "none, as for the first token, in a dense layer"
                          : topK + " experts, as for the first token, then -1"));
        }

        for (int rank = 0; rank < chosen; rank++) {
          long id = physical[layer][from + rank];
          if (id >= map[layer].length) {
            throw new TraceFormatException(
                "Invalid physical expert %d at %s, layer %d, token %d, rank %d: the dump maps 0 to %d"
                    .formatted(
                        id,
                        current.record().key(SglangDump.TOP_K).at(),
                        layer,
                        read + token,
                        rank,
                        map[layer].length - 1));
          }

          ids[(token * moeLayers.length + moe) * topK + rank] = (short) map[layer][(int) id];
        }
      }

      moe += dense ? 0 : 1;
    }

    try {
      return RoutingTrace.of(
          shape,
          ids,
          new float[0],
          Arrays.copyOfRange(columns.sequence(), read, read + count),
          Arrays.copyOfRange(columns.position(), read, read + count),
          Arrays.copyOfRange(columns.phase(), read, read + count));
    } catch (IllegalArgumentException e) {
      throw new TraceFormatException(
          "Invalid choices at %s, tokens %d to %d, after mapping to logical experts: %s"
              .formatted(
                  current.record().key(SglangDump.TOP_K).at(),
                  read,
                  read + count - 1,
                  e.getMessage()),
          e);
    }
  }

  /** Whether something but padding stands in a range. */
  private static boolean isNotPadding(long[] ids, int from, int to) {
    for (int i = from; i < to; i++) {
      if (ids[i] != -1) {
        return true;
      }
    }

    return false;
  }

  @Override
  public void close() {
    dump.close();
  }
}
