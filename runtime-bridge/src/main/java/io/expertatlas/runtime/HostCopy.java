package io.expertatlas.runtime;

/**
 * A copy from memory of the host to a device that was begun, by {@link Device#fetch} or {@link
 * Device#fetchAhead}. Copies of a device end in the order in which they were begun.
 */
public interface HostCopy extends AutoCloseable {
  /** One that is done. */
  HostCopy DONE =
      new HostCopy() {
        @Override
        public void join() {}

        @Override
        public boolean isDone() {
          return true;
        }

        @Override
        public void await() {}

        @Override
        public void close() {}
      };

  /** Operations that are called from now on wait for it; the caller does not. */
  void join();

  /** Whether it has ended; does not wait. */
  boolean isDone();

  /** Waits until it has ended. */
  void await();

  /** Nobody asks for it any more; it goes on if it has not ended. */
  @Override
  void close();
}
