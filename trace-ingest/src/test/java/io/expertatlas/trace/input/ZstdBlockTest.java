package io.expertatlas.trace.input;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.Zstd;
import java.io.IOException;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class ZstdBlockTest {
  private static byte[] drawn(int length) {
    byte[] bytes = new byte[length];
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) random.nextInt(5);
    }

    return bytes;
  }

  @Test
  void givesWhatWasCompressedFromAnyPlaceOfAnArray() throws IOException {
    for (int length : new int[] {0, 1, 17, 300_000}) {
      byte[] bytes = drawn(length);
      byte[] block = Zstd.compress(bytes);
      byte[] within = new byte[block.length + 8];
      System.arraycopy(block, 0, within, 3, block.length);

      assertThat(ZstdBlock.decompress(within, 3, block.length, length)).isEqualTo(bytes);
    }
  }

  @Test
  void otherSizesAndBrokenBlocksAreErrors() {
    byte[] block = Zstd.compress(drawn(1000));
    byte[] broken = block.clone();
    broken[0]++;

    assertThatThrownBy(() -> ZstdBlock.decompress(block, 0, block.length, 1001))
        .isInstanceOf(IOException.class)
        .hasMessage("zstd block holds 1000 bytes, 1001 announced");
    assertThatThrownBy(() -> ZstdBlock.decompress(block, 0, block.length, 999))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("999 announced in it: Destination buffer is too small");
    assertThatThrownBy(() -> ZstdBlock.decompress(broken, 0, broken.length, 1000))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("Unknown frame descriptor");
    byte[] cut = Arrays.copyOf(block, block.length - 1);
    assertThatThrownBy(() -> ZstdBlock.decompress(cut, 0, cut.length, 1000))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("1000 announced in it");
  }
}
