package io.expertatlas.runtime.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.CheckpointException;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.checkpoint.TensorFile.Entry;
import io.expertatlas.runtime.cpu.HostFloats;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TensorFileTest {
  @TempDir private Path folder;

  private static float[] random(int size) {
    SplittableRandom random = new SplittableRandom(size);
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) random.nextDouble(-1, 1);
    }

    return values;
  }

  private Path write(List<Entry> entries) throws IOException {
    Path file = folder.resolve("some.safetensors");
    try (OutputStream out = Files.newOutputStream(file)) {
      TensorFile.write(entries, out);
    }

    return file;
  }

  @Test
  void whatIsWrittenIsRead() throws IOException {
    float[] many = random(70_001); // more than is written at once
    float[] strange = {Float.NaN, -0f, Float.MIN_VALUE, Float.POSITIVE_INFINITY};
    Path file =
        write(
            List.of(
                new Entry("b", List.of(1L, 70_001L), FloatBuffer.wrap(many)),
                new Entry("a", List.of(2L, 2L), FloatBuffer.wrap(strange)),
                new Entry("none", List.of(0L, 3L), FloatBuffer.wrap(new float[0]))));
    WeightSource source = TensorFile.open(file);
    assertThat(HostFloats.read(source.tensor("b", 1, 70_001))).isEqualTo(many);
    assertThat(HostFloats.read(source.tensor("a", 2, 2))).isEqualTo(strange);
    assertThat(source.tensor("none", 0, 3).elements()).isZero();
    assertThat(Files.readAllBytes(file)[0] % 8).as("the header is padded").isZero();
  }

  @Test
  void tensorsThatAreNotThereAreNamed() throws IOException {
    Path file = write(List.of(new Entry("a", List.of(2L), FloatBuffer.wrap(new float[2]))));
    WeightSource source = TensorFile.open(file);
    assertThatThrownBy(() -> source.tensor("b", 2))
        .isInstanceOf(CheckpointException.class)
        .hasMessage("Missing tensor b in %s: none, expected [2]".formatted(file));
    assertThatThrownBy(() -> source.tensor("a", 1, 2))
        .hasMessage("Misshapen tensor a in %s: [2], expected [1, 2]".formatted(file));
    assertThatThrownBy(() -> new Entry("a", List.of(3L), FloatBuffer.wrap(new float[2])))
        .hasMessage("Invalid tensor a: [3] of 2 numbers");
  }
}
