package io.expertatlas.runtime.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.CheckpointException;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.runtime.TensorData;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointTest {
  @TempDir private Path folder;

  private void config() throws IOException {
    Files.copy(Goldens.data().resolve("mixtral/config.json"), folder.resolve("config.json"));
  }

  private Path safetensors(String header, int bytes) throws IOException {
    Path file = folder.resolve("model.safetensors");
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer all = ByteBuffer.allocate(8 + text.length + bytes).order(ByteOrder.LITTLE_ENDIAN);
    all.putLong(text.length).put(text);
    for (int i = 0; i < bytes; i++) {
      all.put((byte) i);
    }

    Files.write(file, all.array());
    return file;
  }

  @Test
  void readsShardsByTheirIndex() throws IOException {
    Checkpoint checkpoint = Checkpoint.open(Goldens.data().resolve("mixtral"));

    assertThat(checkpoint.config())
        .isEqualTo(new MixtralConfig(12, 8, 2, 192, 64, 6, 2, 32, 4096, 1024, 1e-5, 10000, 0, 2));
    TensorData norm = checkpoint.tensor("model.norm.weight", 192);
    assertThat(norm.type()).isEqualTo(DType.BF16);
  }

  @Test
  void readsASingleFile() throws IOException {
    Checkpoint checkpoint = Checkpoint.open(Goldens.data().resolve("nllb-moe"));

    assertThat(checkpoint.config())
        .isEqualTo(
            new NllbMoeConfig(
                6, 6, 2, 2, 16, 128, 64, 64, 4, 4, 4096, 512, true, false, 0, 1, 2, 2));
    assertThat(checkpoint.tensor("model.shared.weight", 4096, 128).elements())
        .isEqualTo(4096 * 128);
  }

  @Test
  void readsElementsFromAnyPlace() throws IOException {
    config();
    safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16);
    ByteBuffer two = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    Checkpoint.open(folder).tensor("a", 2, 2).read(1, two);

    assertThat(two.getInt(0)).isEqualTo(0x07060504);
    assertThat(two.getInt(4)).isEqualTo(0x0b0a0908);
  }

  @Test
  void tensorsBeyondTwoGibibytesAreRead() throws IOException {
    config();
    long elements = (5L << 30) / 2 + 7; // 5 GiB of bf16, sparse
    byte[] header =
        "{\"big\":{\"dtype\":\"BF16\",\"shape\":[%d],\"data_offsets\":[0,%d]}}"
            .formatted(elements, 2 * elements)
            .getBytes(StandardCharsets.UTF_8);
    long start = 8 + header.length;
    try (RandomAccessFile file =
        new RandomAccessFile(folder.resolve("model.safetensors").toFile(), "rw")) {
      file.write(
          ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array());
      file.write(header);
      file.setLength(start + 2 * elements);
      file.seek(start + 2 * (elements - 1));
      file.write(new byte[] {(byte) 0x80, 0x3f}); // 1.0
      file.seek((1L << 30) - 1); // right across the windows of the mapping
      file.write(new byte[] {0x11, 0x22, 0x33});
    }

    TensorData big = Checkpoint.open(folder).tensor("big", elements);
    ByteBuffer one = ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN);
    big.read(elements - 1, one);
    assertThat(one.getShort(0)).isEqualTo((short) 0x3f80);
    ByteBuffer across = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    big.read(((1L << 30) - start) / 2 - 2, across);
    assertThat(new String(across.array(), StandardCharsets.ISO_8859_1)).contains("\u0011\"3");
  }

  @Test
  void problemsWithTensorsAreNamedAllAtOnce() throws IOException {
    config();
    safetensors(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            + "\"x\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[8,10]}}",
        10);
    Checkpoint checkpoint = Checkpoint.open(folder);

    assertThatThrownBy(() -> checkpoint.check(Map.of("a", List.of(3L), "b", List.of(1L)), Set.of()))
        .isInstanceOf(CheckpointException.class)
        .hasMessage(
            "Invalid checkpoint %s for MixtralForCausalLM: 1 missing: b; 1 misshapen: a [2],"
                    .formatted(folder)
                + " expected [3]; 1 unknown: x");
    assertThatThrownBy(() -> checkpoint.tensor("b", 1))
        .isInstanceOf(CheckpointException.class)
        .hasMessage("Missing tensor b in %s: none, expected [1]".formatted(folder));
  }

  @Test
  void brokenFilesAreRefused() throws IOException {
    config();
    assertOpen(
        "Cannot read checkpoint %s: it has neither model.safetensors nor"
            + " model.safetensors.index.json");
    Path file = safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7);
    assertOpen("Truncated safetensors file: " + file + " has ");
    safetensors("{\"a\":{\"dtype\":\"F8\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    assertOpen("Cannot read tensor a of " + file + ": its dtype is \"F8\"");
    safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}", 9);
    assertOpen("Invalid tensor a in " + file + ": shape [2] of F32, but data_offsets [0, 9]");
    safetensors("[]", 0);
    assertOpen("Invalid safetensors header in " + file + ": not a JSON object");
    Files.write(file, new byte[5]);
    assertOpen("Invalid safetensors file: " + file + " has 5 bytes");
    Files.writeString(folder.resolve("model.safetensors.index.json"), "{}");
    assertOpen("Invalid %s/model.safetensors.index.json: it has no weight_map");
    Files.writeString(
        folder.resolve("model.safetensors.index.json"), "{\"weight_map\":{\"a\":\"no.st\"}}");
    assertOpen("Missing file %s/no.st: %s/model.safetensors.index.json names it");
    Files.writeString(
        folder.resolve("model.safetensors.index.json"), "{\"weight_map\":{\"a\":\"../b\"}}");
    assertOpen("Invalid %s/model.safetensors.index.json: a is said to be in \"../b\"");
  }

  @Test
  void configurationsThatWouldComputeSomethingElseAreRefused() throws IOException {
    safetensors("{}", 0);
    String text = Files.readString(Goldens.data().resolve("mixtral/config.json"));
    Path config = folder.resolve("config.json");
    assertOpen("Missing file " + config);
    Files.writeString(config, text.replace("\"silu\"", "\"gelu\""));
    assertOpen(
        "Cannot run the model of " + config + ": hidden_act is \"gelu\", which is not built");
    Files.writeString(config, text.replace("\"sliding_window\": null", "\"sliding_window\": 64"));
    assertOpen("Cannot run the model of " + config + ": sliding_window is 64, which is not built");
    Files.writeString(
        config, text.replace("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4"));
    assertOpen("Cannot use " + config + ": Invalid num_attention_heads: 6, which");
    Files.writeString(config, text.replace("\"hidden_size\": 192,", ""));
    assertOpen("Invalid hidden_size in " + config + ": missing, expected a whole number");
    Files.writeString(config, text.replace("MixtralForCausalLM", "Gpt2"));
    assertOpen("Cannot run Gpt2 of " + config);
    text = Files.readString(Goldens.data().resolve("nllb-moe/config.json"));
    Files.writeString(
        config, text.replace("\"moe_token_dropout\": 0.0", "\"moe_token_dropout\": 1"));
    assertOpen(
        "Cannot use "
            + config
            + ": Invalid moe_token_dropout: 1.0, expected 0 or more and less than 1");
    String fraction = "\"moe_eval_capacity_token_fraction\": ";
    Files.writeString(config, text.replace(fraction + "1.0", fraction + "-1.0"));
    assertOpen(
        "Cannot run the model of "
            + config
            + ": moe_eval_capacity_token_fraction is -1.0, which is not built");
    Files.writeString(config, "{");
    assertOpen("Invalid JSON in " + config);
  }

  private void assertOpen(String message) {
    assertThatThrownBy(() -> Checkpoint.open(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageStartingWith(message.replace("%s", folder.toString()));
  }
}
