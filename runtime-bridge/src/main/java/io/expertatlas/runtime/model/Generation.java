package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.trace.Phase;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Continues prompts token by token. Prompts of unequal lengths run together without padding; a
 * prefill step takes as many tokens as the limits allow. Deterministic.
 */
public final class Generation {
  private final Model model;
  private final Limits limits;
  private final Sampler sampler;
  private final int newTokens;
  private final boolean stopsAtEnd;
  private final Progress progress;
  private final Map<Device, Draw> draws = new IdentityHashMap<>();
  private float[][] uniform = {}; // [sequence][new token]
  private int firstSequence;
  private long prefillNanos;
  private long decodeNanos;
  private long prefillTokens;
  private long decodeTokens;
  private Offload.Use decodeUse = Offload.Use.NONE;

  /** Is told of tokens as they are done. */
  @FunctionalInterface
  public interface Progress {
    /** So many tokens went through the model. */
    void advanced(int tokens);
  }

  /** Where a device's tokens are chosen. */
  private record Draw(Tensor ids, Tensor uniform) {}

  /**
   * Plans a generation.
   *
   * @param newTokens at most so many for each sequence
   * @param stopsAtEnd whether a sequence ends with the model's end token
   */
  public Generation(
      Model model,
      Limits limits,
      Sampler sampler,
      int newTokens,
      boolean stopsAtEnd,
      Progress progress) {
    if (newTokens < 1) {
      throw new IllegalArgumentException(
          "Invalid number of new tokens: %d, at least 1".formatted(newTokens));
    }

    this.model = model;
    this.limits = limits;
    this.sampler = sampler;
    this.newTokens = newTokens;
    this.stopsAtEnd = stopsAtEnd;
    this.progress = progress;
    for (Device device : model.devices()) {
      draws.put(
          device,
          new Draw(
              device.allocate("next ids", DType.I32, limits.sequences()),
              device.allocate("draws", DType.F32, limits.sequences())));
    }
  }

  /** Continues prompts that are the whole run. */
  public List<int[]> run(List<int[]> prompts) {
    return run(0, prompts);
  }

  /**
   * Continues some of a run's prompts.
   *
   * @param first number of the first one in the whole run
   * @return the new tokens of each, the end token included
   * @throws IllegalArgumentException if the limits do not allow them, with the numbers
   */
  public List<int[]> run(int first, List<int[]> prompts) {
    check(prompts);
    long start = System.nanoTime();
    firstSequence = first;
    List<int[]> starts = model.begin(first, prompts);
    uniform = new float[prompts.size()][sampler.isGreedy() ? 0 : newTokens];
    for (int s = 0; s < uniform.length; s++) {
      SplittableRandom random = sampler.draws(first + s);
      for (int i = 0; i < uniform[s].length; i++) {
        uniform[s][i] = random.nextInt(1 << 24) * 0x1p-24f;
      }
    }

    List<List<Integer>> found = new ArrayList<>();
    int[] length = new int[starts.size()];
    for (int s = 0; s < starts.size(); s++) {
      found.add(new ArrayList<>());
      length[s] = starts.get(s).length;
    }

    prefill(starts, found);
    model.devices().forEach(Device::synchronize);
    prefillTokens += prompts.stream().mapToLong(prompt -> prompt.length).sum();
    prefillNanos += System.nanoTime() - start;
    Offload.Use before = model.offloaded();
    start = System.nanoTime();
    decode(length, found);
    model.devices().forEach(Device::synchronize);
    decodeNanos += System.nanoTime() - start;
    decodeUse = decodeUse.plus(model.offloaded().minus(before));
    return found.stream().map(ids -> ids.stream().mapToInt(id -> id).toArray()).toList();
  }

  private void check(List<int[]> prompts) {
    if (prompts.isEmpty() || prompts.size() > limits.sequences()) {
      throw new IllegalArgumentException(
          "Invalid number of prompts: %d, 1 to %d".formatted(prompts.size(), limits.sequences()));
    }

    for (int s = 0; s < prompts.size(); s++) {
      int[] prompt = prompts.get(s);
      if (prompt.length == 0 || prompt.length > limits.capacity()) {
        throw new IllegalArgumentException(
            "Invalid prompt %d: %d tokens, 1 to %d".formatted(s, prompt.length, limits.capacity()));
      }

      for (int id : prompt) {
        if (id < 0 || id >= model.config().vocabulary()) {
          throw new IllegalArgumentException(
              "Invalid token id in prompt %d: %d, the model has 0 to %d"
                  .formatted(s, id, model.config().vocabulary() - 1));
        }
      }
    }
  }

  /** Runs the starts, a piece of them at a time; the last token of each brings its next one. */
  private void prefill(List<int[]> starts, List<List<Integer>> found) {
    List<Step.Piece> pieces = new ArrayList<>();
    int rows = 0;
    for (int s = 0; s < starts.size(); s++) {
      int[] ids = starts.get(s);
      int at = 0;
      while (at < ids.length) {
        int count = Math.min(ids.length - at, limits.rows() - rows);
        boolean ends = at + count == ids.length;
        pieces.add(new Step.Piece(s, at, Arrays.copyOfRange(ids, at, at + count), ends, 0));
        at += count;
        rows += count;
        if (rows == limits.rows()) {
          next(Step.of(Phase.PREFILL, firstSequence, pieces), found);
          pieces.clear();
          rows = 0;
        }
      }
    }

    if (!pieces.isEmpty()) {
      next(Step.of(Phase.PREFILL, firstSequence, pieces), found);
    }
  }

  private void decode(int[] length, List<List<Integer>> found) {
    int made = 1;
    while (made < newTokens) {
      List<Step.Piece> pieces = new ArrayList<>();
      for (int s = 0; s < length.length; s++) {
        List<Integer> ids = found.get(s);
        int last = ids.get(ids.size() - 1);
        if (!stopsAtEnd || last != model.config().endOfSequence()) {
          pieces.add(new Step.Piece(s, length[s] + ids.size() - 1, new int[] {last}, true, 0));
        }
      }

      if (pieces.isEmpty()) {
        return;
      }

      Step step = Step.of(Phase.DECODE, firstSequence, pieces);
      int steps = 1;
      if (model.decodeLoop().isPresent()) {
        steps = loop(model.decodeLoop().get(), step, newTokens - made, made, found);
      } else {
        next(step, found);
      }

      made += steps;
      decodeTokens += (long) steps * pieces.size();
    }
  }

  /** Runs steps until one ends a sequence, and appends the tokens that they bring. */
  private int loop(DecodeLoop loop, Step step, int left, int made, List<List<Integer>> found) {
    int steps = Math.min(left, loop.mostSteps());
    float[][] draw = new float[sampler.isGreedy() ? 0 : steps][step.tokens()];
    for (int s = 0; s < draw.length; s++) {
      for (int t = 0; t < step.tokens(); t++) {
        draw[s][t] = uniform[step.sequence(t)][made + s];
      }
    }

    int end = stopsAtEnd ? model.config().endOfSequence() : -1;
    List<int[]> next = loop.run(step, steps, sampler, draw, end);
    for (int[] ids : next) {
      for (int t = 0; t < ids.length; t++) {
        found.get(step.sequence(t)).add(ids[t]);
      }
    }

    progress.advanced(next.size() * step.tokens());
    return next.size();
  }

  /** Runs a step and appends the tokens that it brings. */
  private void next(Step step, List<List<Integer>> found) {
    for (Logits logits : model.forward(step)) {
      int[] ids = choose(logits, found);
      for (int i = 0; i < ids.length; i++) {
        found.get(logits.sequences()[i]).add(ids[i]);
      }
    }

    progress.advanced(step.tokens());
  }

  private int[] choose(Logits logits, List<List<Integer>> made) {
    Device device = logits.device();
    int count = logits.sequences().length;
    Tensor ids = device.rows(draws.get(device).ids(), 0, count);
    if (sampler.isGreedy()) {
      device.argmax(logits.values(), ids);
    } else {
      float[] draw = new float[count];
      for (int i = 0; i < count; i++) {
        draw[i] = uniform[logits.sequences()[i]][made.get(logits.sequences()[i]).size()];
      }

      Tensor uniforms = device.rows(draws.get(device).uniform(), 0, count);
      device.write(uniforms, draw);
      device.sample(logits.values(), sampler.temperature(), sampler.topP(), uniforms, ids);
    }

    return device.read(ids);
  }

  /** Forgets what was timed so far. */
  public void restartClocks() {
    prefillNanos = 0;
    decodeNanos = 0;
    prefillTokens = 0;
    decodeTokens = 0;
    decodeUse = Offload.Use.NONE;
  }

  /** What it runs. */
  Model model() {
    return model;
  }

  /** Prompt tokens a second, up to the first new token. */
  public double prefillTokensPerSecond() {
    return perSecond(prefillTokens, prefillNanos);
  }

  /** New tokens a second after the first one of each sequence; 0 if there was none. */
  public double decodeTokensPerSecond() {
    return perSecond(decodeTokens, decodeNanos);
  }

  /** What loading experts from the host cost after the first new token of each sequence. */
  public Offload.Use decodeOffloaded() {
    return decodeUse;
  }

  private static double perSecond(long tokens, long nanos) {
    return tokens == 0 ? 0 : tokens * 1e9 / Math.max(1, nanos);
  }
}
