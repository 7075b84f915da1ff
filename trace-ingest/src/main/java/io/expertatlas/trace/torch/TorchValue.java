package io.expertatlas.trace.torch;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.ZipArchive;
import io.expertatlas.trace.torch.Values.Array;
import io.expertatlas.trace.torch.Values.Dict;
import io.expertatlas.trace.torch.Values.Items;
import io.expertatlas.trace.torch.Values.None;
import java.util.List;
import java.util.Optional;

/**
 * A value in a torch file, which knows its place: asking it for what it is not says where and what
 * it is.
 */
public final class TorchValue {
  private final Object value;
  private final String place; // such as records[3].topk_ids_of_layer; empty: the whole
  private final String file;

  TorchValue(Object value, String place, String file) {
    this.value = value;
    this.place = place;
    this.file = file;
  }

  /** Whether this is None. */
  public boolean isNone() {
    return value == None.NONE;
  }

  /** Whether this is a dict. */
  public boolean isDict() {
    return value instanceof Dict;
  }

  /** Whether this is a tensor or a numpy array. */
  public boolean isTensor() {
    return value instanceof TorchTensor || value instanceof Array;
  }

  /** Whether this is a list or a tuple. */
  public boolean isList() {
    return value instanceof Items;
  }

  /** The keys of a dict that are texts, in their order; none if this is no dict. */
  public List<String> keys() {
    return value instanceof Dict dict
        ? dict.entries.keySet().stream()
            .filter(String.class::isInstance)
            .map(String.class::cast)
            .toList()
        : List.of();
  }

  /** Whether this is a dict that has a key. */
  public boolean has(String key) {
    return value instanceof Dict dict && dict.entries.containsKey(key);
  }

  /** The value of a key, unless it is missing or None. */
  public Optional<TorchValue> find(String key) {
    return Optional.of(key).filter(this::has).map(this::key).filter(found -> !found.isNone());
  }

  /**
   * The value of a key.
   *
   * @throws TraceFormatException if this is no dict or has no such key
   */
  public TorchValue key(String key) {
    if (!(value instanceof Dict dict)) {
      throw wrong("a dict with key " + key);
    }

    Object found = dict.entries.get(key);
    if (found == null) {
      throw new TraceFormatException(
          "Missing %s in %s: its keys are %s"
              .formatted(key, at(), keys().stream().limit(20).map(ZipArchive::printable).toList()));
    }

    return new TorchValue(found, place.isEmpty() ? key : place + "." + key, file);
  }

  /**
   * Number of items of a list or tuple.
   *
   * @throws TraceFormatException if this is neither
   */
  public int size() {
    return items().size();
  }

  /** An item of a list or tuple. */
  public TorchValue at(int index) {
    return new TorchValue(items().get(index), "%s[%d]".formatted(place, index), file);
  }

  private List<Object> items() {
    if (!(value instanceof Items items)) {
      throw wrong("a list");
    }

    return items.items;
  }

  /**
   * This whole number.
   *
   * @throws TraceFormatException if it is none
   */
  public long integer() {
    if (!(value instanceof Long number)) {
      throw wrong("a whole number");
    }

    return number;
  }

  /**
   * This text.
   *
   * @throws TraceFormatException if it is none
   */
  public String text() {
    if (!(value instanceof String text)) {
      throw wrong("a text");
    }

    return text;
  }

  /**
   * The whole numbers of a list, a tuple or a tensor of one axis.
   *
   * @throws TraceFormatException if this is none of them
   */
  public long[] integers() {
    if (isTensor()) {
      TorchTensor tensor = tensor(1);
      if (tensor.count() > Integer.MAX_VALUE / 16) {
        throw wrong("at most %d numbers".formatted(Integer.MAX_VALUE / 16));
      }

      long[] numbers = new long[(int) tensor.count()];
      tensor.readIntegers(0, numbers.length, numbers);
      return numbers;
    }

    List<Object> items = items();
    long[] numbers = new long[items.size()];
    for (int i = 0; i < numbers.length; i++) {
      if (!(items.get(i) instanceof Long number)) {
        throw at(i).wrong("a whole number");
      }

      numbers[i] = number;
    }

    return numbers;
  }

  /**
   * This tensor or numpy array.
   *
   * @throws TraceFormatException if it is neither
   */
  public TorchTensor tensor() {
    if (value instanceof TorchTensor tensor) {
      return tensor;
    }

    if (value instanceof Array array && array.tensor != null) {
      return array.tensor;
    }

    throw wrong("a tensor");
  }

  /**
   * This tensor, which must have so many axes.
   *
   * @throws TraceFormatException if it has not
   */
  public TorchTensor tensor(int axes) {
    TorchTensor tensor = tensor();
    if (tensor.shape().size() != axes) {
      throw wrong("a tensor of %d axes".formatted(axes));
    }

    return tensor;
  }

  /** Where this is: the place and the file. */
  public String at() {
    return place.isEmpty() ? file : ZipArchive.printable(place) + " of " + file;
  }

  /** What this is, in words, with the keys of a dict. */
  public String describe() {
    return isDict()
        ? "a dict with keys %s"
            .formatted(keys().stream().limit(20).map(ZipArchive::printable).toList())
        : Values.describe(value);
  }

  /** The failure to throw where something else is needed here. */
  public TraceFormatException wrong(String expected) {
    return new TraceFormatException(
        "Invalid value at %s: %s, expected %s".formatted(at(), describe(), expected));
  }
}
