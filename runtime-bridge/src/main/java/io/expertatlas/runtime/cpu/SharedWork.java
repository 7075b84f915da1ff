package io.expertatlas.runtime.cpu;

/** Work on many numbers, dealt to the threads that {@link FloatProducts#useThreads} sets. */
public final class SharedWork {
  private static final int PIECE = 1 << 13; // numbers that are worth another thread

  private SharedWork() {}

  /** Consecutive things of a length. */
  @FunctionalInterface
  public interface Range {
    /** Works on things from the first to before the end. */
    void run(int first, int end);
  }

  /**
   * Works on all things of a length, each once, and returns when that is done. The cut depends on
   * the numbers alone.
   *
   * @param numbers of each thing
   */
  public static void forEach(int length, int numbers, Range work) {
    int each = Math.max(1, PIECE / Math.max(1, numbers));
    if (length <= each) {
      work.run(0, length);
    } else {
      inPieces(length, each, work);
    }
  }

  /** The same of at least one thing, so many at a time. */
  static void inPieces(int length, int each, Range work) {
    ProductThreads.split(
        (length + each - 1) / each,
        (from, to) -> {
          for (int first = from * each; first < Math.min(length, to * each); first += each) {
            work.run(first, Math.min(length, first + each));
          }
        });
  }
}
