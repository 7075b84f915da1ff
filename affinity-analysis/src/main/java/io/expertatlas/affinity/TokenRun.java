package io.expertatlas.affinity;

import java.util.Arrays;

/** A run of tokens, or the part of it that one task saw. Mutable. */
final class TokenRun {
  final long from; // index of the first token
  final int sequence;
  boolean startKnown; // no token before it belongs to the run
  boolean endKnown; // nor one behind it
  int tokens;
  private final int width; // choices of a token
  private char[] experts; // [token][layer][rank]
  private int[] groups; // [token]

  TokenRun(long from, int sequence, int width) {
    this.from = from;
    this.sequence = sequence;
    this.width = width;
    experts = new char[16 * width];
    groups = new int[16];
  }

  void add(int group, int[] choices) {
    reserve(tokens + 1);
    groups[tokens] = group;
    int at = tokens * width;
    for (int i = 0; i < width; i++) {
      experts[at + i] = (char) choices[i];
    }

    tokens++;
  }

  void append(TokenRun next) {
    reserve(tokens + next.tokens);
    System.arraycopy(next.groups, 0, groups, tokens, next.tokens);
    System.arraycopy(next.experts, 0, experts, tokens * width, next.tokens * width);
    tokens += next.tokens;
    endKnown = next.endKnown;
  }

  private void reserve(int wanted) {
    if (wanted > groups.length) {
      int room = Math.max(wanted, 2 * groups.length);
      groups = Arrays.copyOf(groups, room);
      experts = Arrays.copyOf(experts, Math.multiplyExact(room, width));
    }
  }

  long end() {
    return from + tokens;
  }

  int group(int token) {
    return groups[token];
  }

  int expert(int token, int choice) {
    return experts[token * width + choice];
  }

  void write(CompactBytes.Writer out) {
    out.integer(from);
    out.integer(sequence & 0xffffffffL);
    out.integer((startKnown ? 1 : 0) + (endKnown ? 2 : 0));
    out.integer(tokens);
    for (int t = 0; t < tokens; t++) {
      out.integer(groups[t] & 0xffffffffL);
      for (int i = 0; i < width; i++) {
        out.integer(experts[t * width + i]);
      }
    }
  }

  static TokenRun read(CompactBytes.Reader in, int width) {
    TokenRun run = new TokenRun(in.integer(), (int) in.integer(), width);
    long known = in.integer();
    run.startKnown = (known & 1) != 0;
    run.endKnown = (known & 2) != 0;
    int count = (int) in.integer();
    run.reserve(count);
    for (int t = 0; t < count; t++) {
      run.groups[t] = (int) in.integer();
      for (int i = 0; i < width; i++) {
        run.experts[t * width + i] = (char) in.integer();
      }
    }

    run.tokens = count;
    return run;
  }
}
