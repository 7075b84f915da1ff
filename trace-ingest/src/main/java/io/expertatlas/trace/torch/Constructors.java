package io.expertatlas.trace.torch;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.ZipArchive;
import io.expertatlas.trace.torch.Values.Array;
import io.expertatlas.trace.torch.Values.Bytes;
import io.expertatlas.trace.torch.Values.Dict;
import io.expertatlas.trace.torch.Values.Dtype;
import io.expertatlas.trace.torch.Values.Global;
import io.expertatlas.trace.torch.Values.Items;
import io.expertatlas.trace.torch.Values.Storage;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;

/** The whitelist: every name that a pickle may use, and what it means here. */
final class Constructors {
  private static final String REBUILD = "torch._utils._rebuild_tensor_v2";
  private static final String PARAMETER = "torch._utils._rebuild_parameter";
  private static final String ORDERED_DICT = "collections.OrderedDict";
  private static final String SIZE = "torch.Size";
  private static final String ENCODE = "_codecs.encode";
  private static final List<String> RECONSTRUCT =
      List.of("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct");
  private static final String NDARRAY = "numpy.ndarray";
  private static final String DTYPE = "numpy.dtype";
  private static final int MAX_AXES = 16;

  private final TorchFile file;
  private final String label;

  Constructors(TorchFile file, String label) {
    this.file = file;
    this.label = label;
  }

  /** The value of a name, or an error if it is not whitelisted. */
  Object global(String module, String name) {
    Global global = new Global(module, name);
    String full = full(global);
    boolean known =
        List.of(REBUILD, PARAMETER, ORDERED_DICT, SIZE, ENCODE, NDARRAY, DTYPE).contains(full)
            || RECONSTRUCT.contains(full);
    if (known) {
      return global;
    }

    if (module.equals("torch")) {
      Optional<TorchType> dtype = TorchType.ofDtype(name);
      if (dtype.isPresent()) {
        return dtype.get();
      }

      if (TorchType.ofStorage(name).isPresent()) {
        return global;
      }
    }

    throw broken(
        "it names %s, which is not among the few names that plain values, tensors and arrays need; nothing of that name was loaded"
            .formatted(full));
  }

  private static String full(Global global) {
    return global.module() + "." + global.name();
  }

  /** The storage of a persistent id: {@code ('storage', type, key, location, elements)}. */
  Object persistent(Object id) {
    List<Object> parts = items(id, "a persistent id");
    if (parts.size() != 5
        || !"storage".equals(parts.get(0))
        || !(parts.get(1) instanceof Global global)
        || !(parts.get(2) instanceof String key)
        || !(parts.get(4) instanceof Long elements)) {
      throw broken("a persistent id that is no storage");
    }

    TorchType type =
        Optional.of(global)
            .filter(name -> name.module().equals("torch"))
            .flatMap(name -> TorchType.ofStorage(name.name()))
            .orElseThrow(() -> broken("a storage of type " + full(global)));
    if (!key.matches("[0-9]{1,9}")) {
      throw broken("a storage with key '%s', expected a number".formatted(key));
    }

    return new Storage(file.storage(key, type, elements), type, elements);
  }

  /** The result of a whitelisted call. */
  Object call(Global constructor, List<Object> arguments) {
    String full = full(constructor);
    switch (full) {
      case REBUILD -> {
        return tensor(arguments);
      }
      case PARAMETER -> {
        if (arguments.isEmpty() || !(arguments.get(0) instanceof TorchTensor tensor)) {
          throw broken("a parameter without a tensor");
        }

        return tensor;
      }
      case ORDERED_DICT -> {
        return orderedDict(arguments);
      }
      case SIZE -> {
        if (arguments.size() != 1) {
          throw broken("a torch.Size of %d arguments".formatted(arguments.size()));
        }

        return new Items(items(arguments.get(0), "a torch.Size"), true);
      }
      case ENCODE -> {
        if (arguments.size() == 2
            && arguments.get(0) instanceof String text
            && "latin1".equals(arguments.get(1))) {
          byte[] held = text.getBytes(StandardCharsets.ISO_8859_1);
          return new Bytes(0, held.length, held);
        }

        throw broken("bytes that are not written as a latin1 text");
      }
      case DTYPE -> {
        return dtype(arguments);
      }
      default -> {
        if (RECONSTRUCT.contains(full)) {
          return new Array();
        }

        throw broken("it calls %s".formatted(full));
      }
    }
  }

  private TorchTensor tensor(List<Object> arguments) {
    if (arguments.size() < 4
        || !(arguments.get(0) instanceof Storage storage)
        || !(arguments.get(1) instanceof Long offset)) {
      throw broken("a tensor without storage and offset");
    }

    long[] shape = numbers(arguments.get(2), "the shape of a tensor");
    long[] strides = numbers(arguments.get(3), "the strides of a tensor");
    if (shape.length != strides.length) {
      throw broken("a tensor of %d axes and %d strides".formatted(shape.length, strides.length));
    }

    return TorchTensor.ofStorage(file, storage, offset, shape, strides, label);
  }

  private Dict orderedDict(List<Object> arguments) {
    Dict dict = new Dict();
    if (arguments.size() > 1) {
      throw broken("an OrderedDict of %d arguments".formatted(arguments.size()));
    }

    if (arguments.size() == 1) {
      for (Object pair : items(arguments.get(0), "the pairs of an OrderedDict")) {
        put(dict, items(pair, "a pair of an OrderedDict"));
      }
    }

    return dict;
  }

  private Dtype dtype(List<Object> arguments) {
    if (arguments.isEmpty() || !(arguments.get(0) instanceof String code)) {
      throw broken("a numpy dtype without its code");
    }

    return new Dtype(
        TorchType.ofNumpy(code)
            .orElseThrow(() -> broken("numpy dtype '%s', expected plain numbers".formatted(code))));
  }

  /** Takes the state of a numpy dtype: {@code (version, byte order, ...)}. */
  void build(Dtype dtype, List<Object> state) {
    if (state.size() < 2 || !(state.get(1) instanceof String order) || !order.matches("[<>|=]")) {
      throw broken("a numpy dtype without byte order");
    }

    dtype.order = order.equals(">") ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
  }

  /** Takes the state of a numpy array: {@code (version, shape, dtype, is Fortran order, bytes)}. */
  void build(Array array, List<Object> state) {
    if (array.tensor != null
        || state.size() != 5
        || !(state.get(2) instanceof Dtype dtype)
        || !(state.get(3) instanceof Boolean fortran)
        || !(state.get(4) instanceof Bytes bytes)) {
      throw broken("a numpy array without shape, dtype, order and bytes");
    }

    array.tensor =
        TorchTensor.ofArray(
            file, bytes, dtype, numbers(state.get(1), "the shape of an array"), fortran, label);
  }

  /** Puts keys and values, in turns, into a dict. */
  void put(Dict dict, List<Object> keysAndValues) {
    if (keysAndValues.size() % 2 != 0) {
      throw broken("a key without a value");
    }

    for (int i = 0; i < keysAndValues.size(); i += 2) {
      Object key = keysAndValues.get(i);
      if (!(key instanceof String) && !(key instanceof Long)) {
        throw broken("the key of a dict is " + Values.describe(key));
      }

      dict.entries.put(key, keysAndValues.get(i + 1));
    }
  }

  /** A value as it is to be used. */
  Object finished(Object value) {
    if (value instanceof Array array) {
      if (array.tensor == null) {
        throw broken("a numpy array without content");
      }

      return array.tensor;
    }

    return value;
  }

  private List<Object> items(Object value, String what) {
    if (!(value instanceof Items items)) {
      throw broken("%s is %s".formatted(what, Values.describe(value)));
    }

    return items.items;
  }

  private long[] numbers(Object value, String what) {
    List<Object> items = items(value, what);
    if (items.size() > MAX_AXES) {
      throw broken("%s has %d axes, at most %d".formatted(what, items.size(), MAX_AXES));
    }

    long[] numbers = new long[items.size()];
    for (int i = 0; i < numbers.length; i++) {
      if (!(items.get(i) instanceof Long number) || number < 0) {
        throw broken("%s holds %s".formatted(what, Values.describe(items.get(i))));
      }

      numbers[i] = number;
    }

    return numbers;
  }

  private TraceFormatException broken(String what) {
    String shown = what.replaceAll("[^\\x20-\\x7e]", "?");
    return new TraceFormatException(
        "Invalid torch file %s: %s"
            .formatted(label, shown.length() > 400 ? ZipArchive.printable(shown) : shown));
  }
}
