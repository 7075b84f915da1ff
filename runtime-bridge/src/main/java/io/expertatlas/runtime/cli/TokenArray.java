package io.expertatlas.runtime.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Prompts as a numpy array of token ids, int32 {@code [batch, length]}; -1 fills up short rows. */
final class TokenArray {
  private static final Pattern HEADER =
      Pattern.compile(
          "\\{'descr': '<i4', 'fortran_order': False, 'shape': \\((\\d{1,9}), (\\d{1,9})\\),"
              + " \\}\\s*");

  private TokenArray() {}

  /**
   * Reads the rows.
   *
   * @throws IOException if it cannot be read or is no such array
   */
  static List<int[]> read(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    byte[] magic = new byte[6];
    if (bytes.remaining() < 12) {
      throw problem(file, "it has %d bytes".formatted(bytes.remaining()));
    }

    bytes.get(magic);
    int version = bytes.get();
    bytes.get();
    int length = version == 1 ? bytes.getShort() & 0xffff : bytes.getInt();
    if (magic[0] != (byte) 0x93
        || !new String(magic, 1, 5, StandardCharsets.US_ASCII).equals("NUMPY")
        || length < 0
        || length > bytes.remaining()) {
      throw problem(file, "no .npy header");
    }

    byte[] text = new byte[length];
    bytes.get(text);
    Matcher header = HEADER.matcher(new String(text, StandardCharsets.ISO_8859_1));
    if (!header.matches()) {
      throw problem(file, new String(text, StandardCharsets.ISO_8859_1).strip());
    }

    int rows = Integer.parseInt(header.group(1));
    int width = Integer.parseInt(header.group(2));
    if ((long) rows * width * Integer.BYTES != bytes.remaining()) {
      throw problem(
          file, "%d bytes behind the header of %d x %d".formatted(bytes.remaining(), rows, width));
    }

    List<int[]> prompts = new ArrayList<>();
    for (int row = 0; row < rows; row++) {
      int[] ids = new int[width];
      bytes
          .slice(bytes.position() + row * width * Integer.BYTES, width * Integer.BYTES)
          .order(ByteOrder.LITTLE_ENDIAN)
          .asIntBuffer()
          .get(ids);
      int end = width;
      while (end > 0 && ids[end - 1] == -1) {
        end--;
      }

      prompts.add(Arrays.copyOf(ids, end));
    }

    return prompts;
  }

  private static IOException problem(Path file, String found) {
    return new IOException(
        "Invalid token array %s: %s, expected int32 [batch, length] in C order"
            .formatted(file, found));
  }
}
