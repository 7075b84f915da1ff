package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.matrix.Matrix;
import java.nio.FloatBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;

/**
 * Copies of matrices from and to the host for which the thread that computes does not wait: they
 * pass through pieces of page-locked memory, which other threads read and write. The pieces are
 * used again.
 */
final class PinnedPieces {
  private static final int PIECE = 1 << 16; // numbers

  private final CUstream stream;
  private final Kernels kernels;
  private final Events events;
  private final List<PinnedWords> all = new ArrayList<>();
  private final Deque<PinnedWords> idle = new ArrayDeque<>();
  private final Deque<Sent> sent = new ArrayDeque<>();

  /** Pieces that a stream reads until an event. */
  private record Sent(CUevent read, List<PinnedWords> pieces) {}

  /** For copies in a stream's order, with its kernels. */
  PinnedPieces(CUstream stream, Kernels kernels, Events events) {
    this.stream = stream;
    this.kernels = kernels;
    this.events = events;
  }

  /** Numbers of a matrix. */
  private final class Numbers {
    final int count;
    final List<PinnedWords> pieces;

    Numbers(int count) {
      this.count = count;
      this.pieces = take((count + PIECE - 1) / PIECE);
    }

    int size(int piece) {
      return Math.min(PIECE, count - piece * PIECE);
    }

    FloatBuffer numbers(int piece) {
      return pieces.get(piece).buffer().asFloatBuffer().limit(size(piece));
    }

    /** By several threads if there are many. */
    void forEach(IntConsumer work) {
      IntStream.range(0, pieces.size()).parallel().forEach(work);
    }
  }

  /** A copy to the host. */
  final class Leaving {
    private final Numbers numbers;
    private final CUevent copied;

    private Leaving(CudaMatrix matrix) {
      this.numbers = new Numbers(matrix.count());
      for (int i = 0; i < numbers.pieces.size(); i++) {
        numbers.pieces.get(i).receive(matrix.pointer(4L * PIECE * i), 4L * numbers.size(i));
      }

      this.copied = events.record(stream);
    }

    /** Waits, and fills a buffer's rest, whose position stays; on any thread. */
    void end(FloatBuffer into) {
      Events.await(copied);
      events.giveBack(copied);
      FloatBuffer to = into.slice();
      numbers.forEach(i -> to.put(i * PIECE, numbers.numbers(i), 0, numbers.size(i)));
      giveBack(numbers.pieces);
    }
  }

  /** Begins to copy a matrix behind what was called; it may be given up at once. */
  Leaving leave(CudaMatrix matrix) {
    return new Leaving(matrix);
  }

  /** A copy from the host. */
  final class Coming {
    private final Numbers numbers;

    private Coming(Matrix matrix) {
      this.numbers = new Numbers(matrix.rows() * matrix.columns());
      numbers.forEach(i -> matrix.copyInto(numbers.numbers(i), i * PIECE));
    }

    /** Begins to copy to a matrix, for what is called next. */
    void begin(CudaMatrix into) {
      for (int i = 0; i < numbers.pieces.size(); i++) {
        numbers.pieces.get(i).send(0, into.pointer(4L * PIECE * i), 4L * numbers.size(i));
      }

      sent(numbers.pieces);
    }
  }

  /** Takes the numbers of a matrix that is not on this GPU; on any thread. */
  Coming come(Matrix matrix) {
    return new Coming(matrix);
  }

  private synchronized List<PinnedWords> take(int count) {
    if (idle.size() < count) {
      while (!sent.isEmpty() && Events.hasPassed(sent.peek().read)) { // they do in order
        Sent done = sent.remove();
        events.giveBack(done.read);
        done.pieces.forEach(idle::push);
      }
    }

    while (idle.size() < count) {
      PinnedWords made = new PinnedWords(4 * PIECE, stream, kernels);
      all.add(made);
      idle.push(made);
    }

    return IntStream.range(0, count).mapToObj(i -> idle.pop()).toList();
  }

  private synchronized void sent(List<PinnedWords> pieces) {
    sent.add(new Sent(events.record(stream), pieces));
  }

  private synchronized void giveBack(List<PinnedWords> pieces) {
    pieces.forEach(idle::push);
  }

  /** Frees all; the stream must be idle. */
  void close() {
    sent.forEach(one -> events.giveBack(one.read));
    all.forEach(PinnedWords::free);
  }
}
