package io.expertatlas.trace.torch;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.ZipArchive;
import io.expertatlas.trace.torch.Values.Array;
import io.expertatlas.trace.torch.Values.Bytes;
import io.expertatlas.trace.torch.Values.Dict;
import io.expertatlas.trace.torch.Values.Dtype;
import io.expertatlas.trace.torch.Values.Global;
import io.expertatlas.trace.torch.Values.Items;
import io.expertatlas.trace.torch.Values.None;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads a pickle of protocol 2 to 5, as far as {@code torch.save} of plain values, tensors and
 * numpy arrays needs it: a loop over whitelisted opcodes. What a {@code REDUCE}, a {@code BUILD} or
 * a persistent id means is decided by {@link Constructors} for a fixed list of names.
 *
 * <p>Opcodes: Python's {@code pickletools} documents them.
 */
final class Unpickler {
  private static final long MAX_OPCODES = 1L << 26;
  private static final int MAX_MEMO = 1 << 23;
  private static final int MAX_STACK = 1 << 22;
  private static final int MAX_MARKS = 1000;
  private static final int MAX_CONTAINERS = 1 << 22;
  private static final int MAX_TEXT = 1 << 24;

  private final PickleInput in;
  private final Constructors constructors;
  private final String label;
  private final List<Object> stack = new ArrayList<>();
  private final List<Integer> marks = new ArrayList<>();
  private final Map<Long, Object> memo = new HashMap<>(); // order reaches no result
  private int containers;

  Unpickler(PickleInput in, Constructors constructors, String label) {
    this.in = in;
    this.constructors = constructors;
    this.label = label;
  }

  /** Reads the one value that the pickle holds. */
  Object load() throws IOException {
    for (long count = 0; count < MAX_OPCODES; count++) {
      int opcode = in.u1();
      if (opcode == '.') {
        if (stack.size() != 1 || !marks.isEmpty()) {
          throw broken("it ends with %d values, expected 1".formatted(stack.size()));
        }

        return constructors.finished(stack.get(0));
      }

      step(opcode);
      if (stack.size() > MAX_STACK) {
        throw broken("more than %d values on its stack".formatted(MAX_STACK));
      }
    }

    throw broken("more than %d opcodes".formatted(MAX_OPCODES));
  }

  private void step(int opcode) throws IOException {
    switch (opcode) {
      case 0x80 -> protocol();
      case 0x95 -> in.i8(); // a frame's length helps only who reads ahead
      case '(' -> mark();
      case '0' -> pop();
      case 'N' -> stack.add(None.NONE);
      case 0x88 -> stack.add(true);
      case 0x89 -> stack.add(false);
      case 'K' -> stack.add((long) in.u1());
      case 'M' -> stack.add((long) in.u2());
      case 'J' -> stack.add((long) in.i4());
      case 0x8a -> stack.add(longInteger());
      case 'G' -> stack.add(in.bigEndianDouble());
      case 'X' -> stack.add(in.text(in.u4(), MAX_TEXT));
      case 0x8c -> stack.add(in.text(in.u1(), MAX_TEXT));
      case 0x8d -> stack.add(in.text(in.i8(), MAX_TEXT));
      case 'B' -> bytes(in.u4());
      case 'C' -> bytes(in.u1());
      case 0x8e -> bytes(in.i8());
      case ']' -> stack.add(container(Values.list()));
      case '}' -> stack.add(container(new Dict()));
      case ')' -> tuple(new ArrayList<>());
      case 't' -> tuple(sinceMark());
      case 0x85 -> tuple(last(1));
      case 0x86 -> tuple(last(2));
      case 0x87 -> tuple(last(3));
      case 'a' -> append(last(1));
      case 'e' -> append(sinceMark());
      case 's' -> put(last(2));
      case 'u' -> put(sinceMark());
      case 'c' -> global(in.line(), in.line());
      case 0x93 -> stackGlobal();
      case 'R' -> reduce();
      case 'b' -> build();
      case 'Q' -> stack.add(constructors.persistent(pop()));
      case 'q' -> memoize(in.u1());
      case 'r' -> memoize(in.u4());
      case 0x94 -> memoize(memo.size());
      case 'h' -> recall(in.u1());
      case 'j' -> recall(in.u4());
      default ->
          throw broken(
              "opcode 0x%02x%s is not among those that plain values and tensors need"
                  .formatted(
                      opcode, opcode > 32 && opcode < 127 ? " '" + (char) opcode + "'" : ""));
    }
  }

  private void protocol() throws IOException {
    int protocol = in.u1();
    if (protocol < 2 || protocol > 5) {
      throw broken("protocol %d, known are 2 to 5".formatted(protocol));
    }
  }

  private void mark() {
    if (marks.size() == MAX_MARKS) {
      throw broken("more than %d nested containers".formatted(MAX_MARKS));
    }

    marks.add(stack.size());
  }

  private long longInteger() throws IOException {
    int length = in.u1();
    if (length > 8) {
      throw broken("a whole number of %d bytes, at most 8".formatted(length));
    }

    return in.integer(length);
  }

  private void bytes(long length) {
    stack.add(new Bytes(in.position(), length, null));
    in.skip(length);
  }

  private <T> T container(T made) {
    if (++containers > MAX_CONTAINERS) {
      throw broken("more than %d containers".formatted(MAX_CONTAINERS));
    }

    return made;
  }

  private void tuple(List<Object> items) {
    stack.add(container(new Items(items, true)));
  }

  private Object pop() {
    return last(1).get(0);
  }

  /** Takes values off the stack, but none from before the last mark. */
  private List<Object> last(int count) {
    int floor = marks.isEmpty() ? 0 : marks.get(marks.size() - 1);
    if (stack.size() - count < floor) {
      throw broken("an opcode takes %d values where there are fewer".formatted(count));
    }

    List<Object> tail = stack.subList(stack.size() - count, stack.size());
    List<Object> taken = new ArrayList<>(tail);
    tail.clear();
    return taken;
  }

  private List<Object> sinceMark() {
    if (marks.isEmpty()) {
      throw broken("an opcode takes values since a mark where there is none");
    }

    List<Object> taken = last(stack.size() - marks.get(marks.size() - 1));
    marks.remove(marks.size() - 1);
    return taken;
  }

  private Object top() {
    if (stack.size() <= (marks.isEmpty() ? 0 : marks.get(marks.size() - 1))) {
      throw broken("an opcode takes a value where there is none");
    }

    return stack.get(stack.size() - 1);
  }

  private void append(List<Object> items) {
    if (!(top() instanceof Items list) || list.tuple) {
      throw broken("it appends to " + Values.describe(top()) + ", which is no list");
    }

    list.items.addAll(items);
  }

  private void put(List<Object> keysAndValues) {
    if (!(top() instanceof Dict dict)) {
      throw broken("it puts a key into " + Values.describe(top()) + ", which is no dict");
    }

    constructors.put(dict, keysAndValues);
  }

  private void global(String module, String name) {
    stack.add(constructors.global(module, name));
  }

  private void stackGlobal() {
    List<Object> names = last(2);
    if (!(names.get(0) instanceof String module) || !(names.get(1) instanceof String name)) {
      throw broken("a name that is no text");
    }

    global(module, name);
  }

  private void reduce() {
    List<Object> call = last(2);
    if (!(call.get(0) instanceof Global constructor)
        || !(call.get(1) instanceof Items arguments)
        || !arguments.tuple) {
      throw broken(
          "it calls %s with %s"
              .formatted(Values.describe(call.get(0)), Values.describe(call.get(1))));
    }

    stack.add(container(constructors.call(constructor, arguments.items)));
  }

  private void build() {
    Object state = pop();
    Object target = top();
    if (target instanceof Array array && state instanceof Items items) {
      constructors.build(array, items.items);
    } else if (target instanceof Dtype dtype && state instanceof Items items) {
      constructors.build(dtype, items.items);
    } else if (!(target instanceof Dict && state instanceof Dict)) { // attributes of a dict: no use
      throw broken(
          "it gives %s a state of %s".formatted(Values.describe(target), Values.describe(state)));
    }
  }

  private void memoize(long index) {
    if (memo.size() >= MAX_MEMO) {
      throw broken("more than %d values in its memo".formatted(MAX_MEMO));
    }

    memo.put(index, top());
  }

  private void recall(long index) {
    Object value = memo.get(index);
    if (value == null) {
      throw broken("it recalls value %d, which is not in its memo".formatted(index));
    }

    stack.add(value);
  }

  private TraceFormatException broken(String what) {
    return new TraceFormatException(
        "Invalid pickle: %s, at byte %d of %s"
            .formatted(ZipArchive.printable(what), in.position(), label));
  }
}
