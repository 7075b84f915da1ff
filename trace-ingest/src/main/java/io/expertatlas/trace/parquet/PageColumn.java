package io.expertatlas.trace.parquet;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import org.apache.parquet.bytes.ByteBufferInputStream;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.bytes.HeapByteBufferAllocator;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.column.Dictionary;
import org.apache.parquet.column.Encoding;
import org.apache.parquet.column.ValuesType;
import org.apache.parquet.column.page.DataPage;
import org.apache.parquet.column.page.DataPageV1;
import org.apache.parquet.column.page.DataPageV2;
import org.apache.parquet.column.page.DictionaryPage;
import org.apache.parquet.column.page.PageReader;
import org.apache.parquet.column.values.ValuesReader;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;

/**
 * Values of one column of a row group, of 32 bits each, decoded in bulk: floats as their bits. A
 * list column must hold lists of one length without null elements, which is checked. The fast way
 * is for dictionaries and plain pages; other encodings go through Parquet's readers value by value.
 */
final class PageColumn {
  private final PageReader pages;
  private final ColumnDescriptor column;
  private final int width; // elements of a list, or 1
  private final String what; // for messages
  private final int max; // largest valid integer
  private final int[] dictionary; // or empty
  private final Dictionary slowDictionary; // what dictionary came from, for other encodings

  private int left; // values left in the page
  private long read; // values read before the page
  private int pageSize;
  private Values values = (into, from, count) -> {};
  private final IdLookup lookup; // the dictionary of ids, or empty
  private Optional<HybridDecoder> indices = Optional.empty(); // into it, of the page
  private int[] wide = {}; // scratch

  /** Where the values of a page come from. */
  @FunctionalInterface
  private interface Values {
    void read(int[] into, int from, int count);
  }

  /**
   * Starts before the first row.
   *
   * @param max largest valid value of integers, the smallest being 0
   */
  PageColumn(PageReader pages, ColumnDescriptor column, int width, int max) {
    this.pages = pages;
    this.column = column;
    this.width = width;
    this.what = column.getPath()[0];
    this.max = max;
    DictionaryPage page = pages.readDictionaryPage();
    if (page == null) {
      this.dictionary = new int[0];
      this.slowDictionary = null;
      this.lookup = new IdLookup(dictionary);
      return;
    }

    try {
      this.slowDictionary = page.getEncoding().initDictionary(column, page);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }

    this.dictionary = new int[slowDictionary.getMaxId() + 1];
    for (int i = 0; i < dictionary.length; i++) {
      dictionary[i] =
          isFloat()
              ? Float.floatToRawIntBits(slowDictionary.decodeToFloat(i))
              : slowDictionary.decodeToInt(i);
    }

    check(dictionary, 0, dictionary.length);
    this.lookup = new IdLookup(dictionary);
  }

  private boolean isFloat() {
    return column.getPrimitiveType().getPrimitiveTypeName() == PrimitiveTypeName.FLOAT;
  }

  /** The next {@code rows * width} values. */
  void read(int[] into, int rows) {
    int count = Math.multiplyExact(rows, width);
    for (int done = 0; done < count; ) {
      int some = available(count - done);
      values.read(into, done, some);
      left -= some;
      done += some;
    }
  }

  /**
   * The next {@code rows * width} values of a column of integers of 16 bits.
   *
   * @param into two bytes each, the lower one first
   */
  void read(byte[] into, int rows) {
    int count = Math.multiplyExact(rows, width);
    for (int done = 0; done < count; ) {
      int some = available(count - done);
      if (indices.isPresent()) {
        indices.get().readLookedUp(lookup, into, done, some);
      } else {
        readNarrowed(into, done, some);
      }

      left -= some;
      done += some;
    }
  }

  private void readNarrowed(byte[] into, int from, int count) {
    if (wide.length < count) {
      wide = new int[count];
    }

    values.read(wide, 0, count);
    ByteBuffer narrow = little(into).position(Short.BYTES * from);
    for (int i = 0; i < count; i++) {
      narrow.putShort((short) wide[i]);
    }
  }

  /** Values that the page has, at most so many; opens the next page if it has none. */
  private int available(int wanted) {
    while (left == 0) {
      openPage();
    }

    return Math.min(left, wanted);
  }

  private void openPage() {
    read += pageSize;
    DataPage page = pages.readPage();
    if (page == null) {
      throw new IllegalArgumentException("column %s ends after %d values".formatted(what, read));
    }

    pageSize = page.getValueCount();
    left = pageSize;
    try {
      if (page instanceof DataPageV1 v1) {
        openV1(v1);
      } else {
        openV2((DataPageV2) page);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @SuppressWarnings("deprecation") // BIT_PACKED is, and is refused
  private void openV1(DataPageV1 page) throws IOException {
    byte[] bytes = bytes(page.getBytes());
    int at = 0;
    if (column.getMaxRepetitionLevel() > 0) {
      if (page.getRlEncoding() == Encoding.BIT_PACKED
          || page.getDlEncoding() == Encoding.BIT_PACKED) {
        throw new IllegalArgumentException("column %s has bit-packed levels".formatted(what));
      }

      int end = levelsEnd(bytes, at);
      checkRepetition(bytes, at + 4, end);
      at = end;
      end = levelsEnd(bytes, at);
      checkDefinition(bytes, at + 4, end);
      at = end;
    }

    openValues(bytes, at, page.getValueEncoding());
  }

  private void openV2(DataPageV2 page) throws IOException {
    if (column.getMaxRepetitionLevel() > 0) {
      byte[] repetition = bytes(page.getRepetitionLevels());
      checkRepetition(repetition, 0, repetition.length);
      byte[] definition = bytes(page.getDefinitionLevels());
      checkDefinition(definition, 0, definition.length);
    }

    openValues(bytes(page.getData()), 0, page.getDataEncoding());
  }

  private static byte[] bytes(BytesInput input) throws IOException {
    ByteBuffer buffer = input.toByteBuffer(new HeapByteBufferAllocator(), unused -> {});
    if (buffer.hasArray()
        && buffer.arrayOffset() + buffer.position() == 0
        && buffer.remaining() == buffer.array().length) {
      return buffer.array(); // only read
    }

    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    return bytes;
  }

  private static int levelsEnd(byte[] bytes, int at) {
    int length = little(bytes).getInt(at);
    return Math.addExact(at + 4, length);
  }

  private static ByteBuffer little(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private void checkRepetition(byte[] bytes, int from, int to) {
    HybridDecoder levels = new HybridDecoder(bytes, from, to, 1);
    if (!levels.startLists((int) (read % width), width, pageSize)) {
      throw notAList();
    }
  }

  private void checkDefinition(byte[] bytes, int from, int to) {
    if (!new HybridDecoder(bytes, from, to, 1).areOnes(pageSize)) {
      throw notAList();
    }
  }

  private IllegalArgumentException notAList() {
    return new IllegalArgumentException(
        "column %s holds no list of %d from row %d on, or later"
            .formatted(what, width, read / width));
  }

  @SuppressWarnings("deprecation") // PLAIN_DICTIONARY is what version 1 writes
  private void openValues(byte[] bytes, int from, Encoding encoding) throws IOException {
    indices = Optional.empty();
    if (encoding == Encoding.PLAIN_DICTIONARY || encoding == Encoding.RLE_DICTIONARY) {
      HybridDecoder ids = new HybridDecoder(bytes, from + 1, bytes.length, bytes[from]);
      indices = Optional.of(ids);
      lookup.prepare(bytes[from], pageSize);
      values = (into, at, count) -> lookUp(ids, into, at, count);
    } else if (encoding == Encoding.PLAIN) {
      ByteBuffer plain = little(bytes).position(from);
      values =
          (into, at, count) -> {
            plain.asIntBuffer().get(into, at, count);
            plain.position(plain.position() + 4 * count);
            check(into, at, count);
          };
    } else {
      ValuesReader reader =
          encoding.usesDictionary()
              ? encoding.getDictionaryBasedValuesReader(column, ValuesType.VALUES, slowDictionary)
              : encoding.getValuesReader(column, ValuesType.VALUES);
      reader.initFromPage(pageSize, ByteBufferInputStream.wrap(little(bytes).position(from)));
      values = (into, at, count) -> oneByOne(reader, into, at, count);
    }
  }

  private void lookUp(HybridDecoder ids, int[] into, int from, int count) {
    ids.read(into, from, count);
    int[] known = dictionary;
    for (int i = from; i < from + count; i++) {
      into[i] = known[into[i]];
    }
  }

  private void oneByOne(ValuesReader reader, int[] into, int from, int count) {
    for (int i = from; i < from + count; i++) {
      into[i] = isFloat() ? Float.floatToRawIntBits(reader.readFloat()) : reader.readInteger();
    }

    check(into, from, count);
  }

  private void check(int[] found, int from, int count) {
    if (isFloat()) {
      return;
    }

    for (int i = from; i < from + count; i++) {
      if (found[i] < 0 || found[i] > max) {
        throw new IllegalArgumentException(
            "column %s holds %d, expected 0 to %d".formatted(what, found[i], max));
      }
    }
  }
}
