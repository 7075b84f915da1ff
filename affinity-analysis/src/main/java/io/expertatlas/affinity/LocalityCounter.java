package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Measures {@link Locality} by group. Tokens come in any number of stretches of rising index; a run
 * that may go on outside a stretch waits, with its tokens, for the neighbour that a {@link #merge}
 * brings, so that any cut of the trace gives the same sums.
 *
 * <p>Memory: at most two waiting runs a stretch, each of at most {@link Locality#RUN_TOKENS} tokens
 * of {@code 2 L k + 4} bytes; {@code 16 L E} bytes of sums for each group. Mutable.
 */
final class LocalityCounter {
  private final ModelShape shape;
  private final TreeMap<Integer, LocalitySums> sums = new TreeMap<>(); // by group
  private final TreeMap<Long, TokenRun> waiting = new TreeMap<>(); // by first token
  private final RunReuse reuse;
  private TokenRun open; // or null
  private long next = -1; // index behind the last token seen

  LocalityCounter(ModelShape shape) {
    this.shape = shape;
    reuse = new RunReuse(shape);
  }

  void add(long token, int sequence, int group, int[] experts) {
    boolean follows = token == next;
    if (open == null || !follows || open.sequence != sequence || startsBlock(token)) {
      close(follows);
      open = new TokenRun(token, sequence, shape.choicesPerToken());
      open.startKnown = follows || startsBlock(token);
    }

    open.add(group, experts);
    next = token + 1;
  }

  /** Sees a token that is not measured: it ends a run. */
  void skip(long token) {
    close(token == next);
    next = token + 1;
  }

  private static boolean startsBlock(long token) {
    return token % Locality.RUN_TOKENS == 0;
  }

  private void close(boolean followed) {
    if (open != null) {
      open.endKnown = followed || startsBlock(next);
      settle(open);
      open = null;
    }
  }

  private void settle(TokenRun run) {
    if (run.startKnown && run.endKnown) {
      reuse.measure(run, this::sums);
    } else {
      waiting.put(run.from, run);
    }
  }

  private LocalitySums sums(int group) {
    LocalitySums own = sums.get(group);
    if (own == null) {
      own = new LocalitySums(shape);
      sums.put(group, own);
    }

    return own;
  }

  private void seal() {
    close(false);
    next = -1;
  }

  void merge(LocalityCounter other) {
    seal();
    other.seal();
    other.sums.forEach((group, more) -> sums(group).add(more));
    waiting.putAll(other.waiting);
    join();
  }

  /** Joins waiting runs with their neighbours; measures those that are complete. */
  private void join() {
    List<TokenRun> runs = new ArrayList<>(waiting.values());
    waiting.clear();
    TokenRun last = null;
    for (TokenRun run : runs) {
      if (last != null && last.end() == run.from) {
        if (last.sequence == run.sequence && !startsBlock(run.from)) {
          last.append(run);
          continue;
        }

        last.endKnown = true;
        run.startKnown = true;
      }

      if (last != null) {
        settle(last);
      }

      last = run;
    }

    if (last != null) {
      settle(last);
    }
  }

  /** What was measured, by group; nothing may be added any more. */
  Map<Integer, LocalitySums> finish() {
    seal();
    join();
    waiting.values().forEach(run -> reuse.measure(run, this::sums));
    waiting.clear();
    return sums;
  }

  void write(CompactBytes.Writer out) {
    seal();
    out.integer(sums.size());
    sums.forEach(
        (group, own) -> {
          out.integer(group & 0xffffffffL);
          own.write(out);
        });
    out.integer(waiting.size());
    waiting.values().forEach(run -> run.write(out));
  }

  void read(CompactBytes.Reader in) {
    long groups = in.integer();
    for (long i = 0; i < groups; i++) {
      sums((int) in.integer()).read(in);
    }

    long runs = in.integer();
    for (long i = 0; i < runs; i++) {
      TokenRun run = TokenRun.read(in, shape.choicesPerToken());
      waiting.put(run.from, run);
    }
  }
}
