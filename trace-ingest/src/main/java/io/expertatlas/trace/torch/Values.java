package io.expertatlas.trace.torch;

import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a pickle is made of. Besides these: {@link Long}, {@link Double}, {@link Boolean}, {@link
 * String}, {@link TorchType} and {@link TorchTensor}. None of the containers is ever hashed,
 * compared or printed as a whole: a pickle may put a container into itself.
 */
final class Values {
  private Values() {}

  /** Python's None. */
  enum None {
    NONE
  }

  /** A whitelisted name, as a value: nothing but its two texts. */
  record Global(String module, String name) {}

  /** A list, or a tuple or {@code torch.Size}, which has all its items from the start. */
  static final class Items {
    final List<Object> items;
    final boolean tuple;

    Items(List<Object> items, boolean tuple) {
      this.items = items;
      this.tuple = tuple;
    }
  }

  /** A dict or an OrderedDict; keys are texts and whole numbers. */
  static final class Dict {
    final Map<Object, Object> entries = new LinkedHashMap<>();
  }

  /** Bytes: a place in the pickle, or held ones. */
  record Bytes(long offset, long length, byte[] held) {}

  /** The storage of tensors: an entry of the archive. */
  record Storage(String member, TorchType type, long elements) {}

  /** A numpy dtype while it is built. */
  static final class Dtype {
    final TorchType type;
    ByteOrder order = ByteOrder.LITTLE_ENDIAN;

    Dtype(TorchType type) {
      this.type = type;
    }
  }

  /** A numpy array while it is built. */
  static final class Array {
    TorchTensor tensor;
  }

  static Items list() {
    return new Items(new ArrayList<>(), false);
  }

  /** What a value is, in words. */
  static String describe(Object value) {
    if (value instanceof None) {
      return "None";
    } else if (value instanceof Items items) {
      return (items.tuple ? "a tuple of %d" : "a list of %d").formatted(items.items.size());
    } else if (value instanceof Dict dict) {
      return "a dict of %d".formatted(dict.entries.size());
    } else if (value instanceof String) {
      return "a text";
    } else if (value instanceof Bytes) {
      return "bytes";
    } else if (value instanceof TorchTensor tensor) {
      return tensor.toString();
    } else if (value instanceof Array array) {
      return array.tensor == null ? "an unfinished array" : array.tensor.toString();
    } else if (value instanceof TorchType type) {
      return "the dtype " + type;
    } else if (value instanceof Long || value instanceof Double || value instanceof Boolean) {
      return value.toString();
    }

    return "something else";
  }
}
