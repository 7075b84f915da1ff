package io.expertatlas.runtime.cuda;

import java.nio.FloatBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.stream.IntStream;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;

/**
 * Copies of matrices to the host for which the thread that computes does not wait: in page-locked
 * memory of their own, which is used again when somebody has fetched the numbers.
 */
final class Readings {
  private static final int PIECE = 1 << 18; // numbers

  private final CUstream stream;
  private final Kernels kernels;
  private final Events events;
  private final Deque<PinnedWords> idle = new ArrayDeque<>(); // of a piece each
  private final List<PinnedWords> all = new ArrayList<>();

  /** Copies behind what a stream is asked for, with its kernels. */
  Readings(CUstream stream, Kernels kernels, Events events) {
    this.stream = stream;
    this.kernels = kernels;
    this.events = events;
  }

  /** A copy under way. */
  final class Reading {
    private final int count;
    private final List<PinnedWords> pieces;
    private final CUevent copied;

    private Reading(CudaMatrix matrix) {
      this.count = matrix.count();
      this.pieces =
          IntStream.range(0, (count + PIECE - 1) / PIECE).mapToObj(piece -> take()).toList();
      for (int piece = 0; piece < pieces.size(); piece++) {
        pieces.get(piece).receive(matrix.pointer(4L * PIECE * piece), 4L * numbers(piece));
      }

      this.copied = events.record(stream);
    }

    private int numbers(int piece) {
      return Math.min(PIECE, count - piece * PIECE);
    }

    /** Waits, and fills a buffer's rest, whose position stays. */
    void end(FloatBuffer into) {
      Events.await(copied);
      events.giveBack(copied);
      FloatBuffer to = into.slice();
      for (int piece = 0; piece < pieces.size(); piece++) {
        FloatBuffer numbers = pieces.get(piece).buffer().asFloatBuffer();
        to.put(piece * PIECE, numbers, 0, numbers(piece));
      }

      giveBack(pieces);
    }
  }

  /** Begins to copy a matrix behind what was called; it may be given up at once. */
  Reading begin(CudaMatrix matrix) {
    return new Reading(matrix);
  }

  private synchronized PinnedWords take() {
    if (idle.isEmpty()) {
      PinnedWords made = new PinnedWords(4 * PIECE, stream, kernels);
      all.add(made);
      return made;
    }

    return idle.pop();
  }

  private synchronized void giveBack(List<PinnedWords> pieces) {
    pieces.forEach(idle::push);
  }

  /** Frees all; the stream must be idle. */
  void close() {
    all.forEach(PinnedWords::free);
  }
}
