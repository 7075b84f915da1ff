package io.expertatlas.runtime.cpu;

import org.bytedeco.javacpp.Pointer;

/** Where something is that belongs to others. */
final class Place extends Pointer {
  Place at(long where) {
    address = where;
    return this;
  }
}
