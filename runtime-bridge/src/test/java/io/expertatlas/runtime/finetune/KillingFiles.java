package io.expertatlas.runtime.finetune;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;

/**
 * Files of a process that is killed at one of its doings: before it, or for a write after half of
 * the bytes. Nothing more is done afterwards, as by a process that is dead.
 */
final class KillingFiles implements FileLayer {
  private final int doomed;
  private final boolean halfway;
  private final BitSet writes = new BitSet();
  private int doings;
  private boolean dead;

  /** Dies at a doing, counted from 0; a negative one never comes. */
  KillingFiles(int doomed, boolean halfway) {
    this.doomed = doomed;
    this.halfway = halfway;
  }

  /** The end of a process; no part of the program catches it. */
  static final class Killed extends Error {
    private static final long serialVersionUID = 1;
  }

  int doings() {
    return doings;
  }

  /** Whether a doing was a write. */
  boolean isWrite(int doing) {
    return writes.get(doing);
  }

  private boolean dies() {
    if (dead) {
      throw new Killed();
    }

    dead = doings++ == doomed;
    return dead;
  }

  private void live() {
    if (dies()) {
      throw new Killed();
    }
  }

  @Override
  public void createFolder(Path folder) throws IOException {
    live();
    REAL.createFolder(folder);
  }

  @Override
  public void write(Path file, Content content) throws IOException {
    writes.set(doings);
    if (dies()) {
      if (halfway) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        content.writeTo(all);
        REAL.write(file, out -> out.write(Arrays.copyOf(all.toByteArray(), all.size() / 2)));
      }

      throw new Killed();
    }

    REAL.write(file, content);
  }

  @Override
  public void rename(Path from, Path to) throws IOException {
    live();
    REAL.rename(from, to);
  }

  @Override
  public void delete(Path path) throws IOException {
    live();
    REAL.delete(path);
  }
}
