package io.expertatlas.trace.arrow;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenRows;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BaseFixedWidthVector;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.BitVectorHelper;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.TinyIntVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;

/**
 * A batch of tokens as Arrow vectors: {@code sequence}, {@code position} int, {@code phase}
 * tinyint, {@code experts} list of smallint (int if a layer has more than 32768), {@code weights}
 * list of float4; also {@code _token} bigint, the index in the whole trace, and, of {@link
 * io.expertatlas.trace.RouterStates}, {@code _router_input} and {@code _router_scores}, lists of
 * float4, {@code [layer][hidden]} and {@code [layer][expert]}. All rows are full and no value is
 * null, so offsets and validity are written once, and a batch that is filled again changes values
 * only. Not safe for several threads.
 *
 * <p>Owns its memory: an allocator of its own under the root of this JVM, closed with the vectors.
 */
public final class TraceVectors implements AutoCloseable {
  private static final int MAX_SHORT_EXPERTS = 1 << 15;
  private static final ArrowType FLOAT = new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE);
  private static final BufferAllocator ROOT = new RootAllocator();

  private final LayerSelection layers;
  private final int hiddenSize;
  private final int capacity; // tokens
  private final BufferAllocator allocator;
  private final List<FieldVector> vectors = new ArrayList<>();
  private final List<Column> columns = new ArrayList<>();
  private int tokens;
  private long firstToken; // index in the whole trace of the first of the rows to append

  /** Appends a range of tokens to one vector. */
  @FunctionalInterface
  private interface Column {
    void append(TokenRows rows, int from, int to);
  }

  /**
   * Allocates vectors.
   *
   * @param name of the allocator, for messages about leaks
   * @param names of the columns, in their order
   * @param shape of the model
   * @param layers whose choices are kept
   * @param capacity tokens of a batch
   */
  public TraceVectors(
      String name, List<String> names, ModelShape shape, LayerSelection layers, int capacity) {
    this(name, names, shape, layers, 0, capacity);
  }

  /**
   * Allocates vectors, of router states too.
   *
   * @param hiddenSize length of a router's input
   */
  public TraceVectors(
      String name,
      List<String> names,
      ModelShape shape,
      LayerSelection layers,
      int hiddenSize,
      int capacity) {
    this.layers = layers;
    this.hiddenSize = hiddenSize;
    this.capacity = capacity;
    this.allocator = ROOT.newChildAllocator(name, 0, Long.MAX_VALUE);
    try {
      for (String column : names) {
        add(column, shape.experts());
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /** Bytes that all open vectors of this JVM hold. */
  public static long allocatedBytes() {
    return ROOT.getAllocatedMemory();
  }

  /** Elements of each list of a vector of this class; 0: it holds none. */
  public static int width(FieldVector vector) {
    return vector instanceof ListVector lists ? lists.getElementEndIndex(0) : 0;
  }

  private void add(String name, int experts) {
    switch (name) {
      case "sequence" -> {
        IntBuffer values = values(new IntVector(name, allocator), capacity).asIntBuffer();
        columns.add((rows, from, to) -> rows.copySequences(from, to, values.position(tokens)));
      }
      case "position" -> {
        IntBuffer values = values(new IntVector(name, allocator), capacity).asIntBuffer();
        columns.add((rows, from, to) -> rows.copyPositions(from, to, values.position(tokens)));
      }
      case "_token" -> {
        LongBuffer values = values(new BigIntVector(name, allocator), capacity).asLongBuffer();
        columns.add(
            (rows, from, to) -> {
              for (int token = from; token < to; token++) {
                values.put(tokens + token - from, firstToken + token);
              }
            });
      }
      case "phase" -> {
        ByteBuffer values = values(new TinyIntVector(name, allocator), capacity);
        columns.add((rows, from, to) -> rows.copyPhases(from, to, values.position(tokens)));
      }
      case "experts" -> {
        if (experts > MAX_SHORT_EXPERTS) {
          addWideIds(name);
        } else {
          ShortBuffer values = choices(name, new ArrowType.Int(16, true)).asShortBuffer();
          columns.add(
              (rows, from, to) -> rows.copyExperts(from, to, layers, values.position(first())));
        }
      }
      case "weights" -> {
        FloatBuffer values = choices(name, FLOAT).asFloatBuffer();
        columns.add(
            (rows, from, to) -> rows.copyWeights(from, to, layers, values.position(first())));
      }
      case "_router_input" -> {
        int width = layers.layers() * hiddenSize;
        FloatBuffer values = list(name, FLOAT, width).asFloatBuffer();
        columns.add(
            (rows, from, to) -> rows.copyInputs(from, to, layers, values.position(tokens * width)));
      }
      case "_router_scores" -> {
        int width = layers.layers() * experts;
        FloatBuffer values = list(name, FLOAT, width).asFloatBuffer();
        columns.add(
            (rows, from, to) -> rows.copyScores(from, to, layers, values.position(tokens * width)));
      }
      default -> throw new IllegalArgumentException("Unknown column: " + name);
    }
  }

  private void addWideIds(String name) {
    IntBuffer values = choices(name, new ArrowType.Int(32, true)).asIntBuffer();
    ShortBuffer unsigned = ShortBuffer.allocate(capacity * layers.choicesPerToken());
    columns.add(
        (rows, from, to) -> {
          rows.copyExperts(from, to, layers, unsigned.clear());
          values.position(first());
          for (int i = 0; i < unsigned.position(); i++) {
            values.put(unsigned.get(i) & 0xffff);
          }
        });
  }

  /** Index of the next choice. */
  private int first() {
    return tokens * layers.choicesPerToken();
  }

  private ByteBuffer values(BaseFixedWidthVector vector, int count) {
    vectors.add(vector);
    return fill(vector, count);
  }

  private static ByteBuffer fill(BaseFixedWidthVector vector, int count) {
    vector.allocateNew(count);
    vector.getValidityBuffer().setOne(0L, (count + 7L) / 8);
    vector.setValueCount(count);
    return vector
        .getDataBuffer()
        .nioBuffer(0, count * vector.getTypeWidth())
        .order(ByteOrder.nativeOrder());
  }

  private ByteBuffer choices(String name, ArrowType element) {
    return list(name, element, layers.choicesPerToken());
  }

  private ByteBuffer list(String name, ArrowType element, int width) {
    ListVector vector =
        new ListVector(
            name, allocator, FieldType.notNullable(ArrowType.List.INSTANCE), null /* call back */);
    vectors.add(vector);
    BaseFixedWidthVector child =
        (BaseFixedWidthVector) vector.addOrGetVector(FieldType.notNullable(element)).getVector();
    vector.setInitialCapacity(capacity);
    vector.allocateNew();
    ByteBuffer values = fill(child, Math.multiplyExact(capacity, width));
    BitVectorHelper.setValidityBit(vector.getValidityBuffer(), 0, 1);
    vector.getValidityBuffer().setOne(0L, (capacity + 7L) / 8);
    for (int token = 0; token <= capacity; token++) {
      vector.getOffsetBuffer().setInt((long) token * ListVector.OFFSET_WIDTH, token * width);
    }

    vector.setLastSet(capacity - 1);
    return values;
  }

  /**
   * The vectors, in the order of the names; of their rows, the first {@link #tokens} are filled.
   */
  public List<FieldVector> vectors() {
    return List.copyOf(vectors);
  }

  /** The fields of the vectors. */
  public List<Field> fields() {
    return vectors.stream().map(FieldVector::getField).toList();
  }

  /** Tokens filled in. */
  public int tokens() {
    return tokens;
  }

  /** Tokens that can be appended yet. */
  public int room() {
    return capacity - tokens;
  }

  /** Starts a new batch in the same memory. */
  public void clear() {
    tokens = 0;
  }

  /**
   * Appends tokens {@code from} (inclusive) to {@code to} (exclusive).
   *
   * @param first index in the whole trace of token 0 of the rows
   * @throws IllegalArgumentException if there is no room for them
   */
  public void append(TokenRows rows, long first, int from, int to) {
    if (to - from > room()) {
      throw new IllegalArgumentException(
          "Cannot append %d tokens: room for %d".formatted(to - from, room()));
    }

    firstToken = first;
    for (Column column : columns) {
      column.append(rows, from, to);
    }

    tokens += to - from;
  }

  @Override
  public void close() {
    vectors.forEach(FieldVector::close);
    allocator.close();
  }
}
