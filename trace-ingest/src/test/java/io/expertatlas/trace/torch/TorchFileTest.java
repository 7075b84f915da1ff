package io.expertatlas.trace.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.TraceFormatException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TorchFileTest {
  private static TorchFile open(String name) {
    return TorchFile.open(Golden.path("torch/" + name));
  }

  private static long[] integers(TorchValue value) {
    TorchTensor tensor = value.tensor();
    long[] numbers = new long[(int) tensor.count()];
    tensor.readIntegers(0, numbers.length, numbers);
    return numbers;
  }

  private static float[] floats(TorchValue value) {
    TorchTensor tensor = value.tensor();
    float[] numbers = new float[(int) tensor.count()];
    tensor.readFloats(0, numbers.length, numbers);
    return numbers;
  }

  @ParameterizedTest
  @ValueSource(strings = {"2", "3", "4", "5"})
  void plainValuesOfEveryProtocol(String protocol) {
    try (TorchFile file = open("good/values-%s.pt".formatted(protocol))) {
      TorchValue root = file.root();

      assertThat(root.keys()).hasSize(20).startsWith("none", "yes", "no", "small");
      assertThat(root.key("none").isNone()).isTrue();
      assertThat(root.find("none")).isEmpty();
      assertThat(root.key("yes").describe()).isEqualTo("true");
      assertThat(root.key("no").describe()).isEqualTo("false");
      assertThat(root.key("half").describe()).isEqualTo("0.5");
      assertThat(
              List.of("small", "byte", "short", "negative", "long", "longest").stream()
                  .map(key -> root.key(key).integer()))
          .containsExactly(7L, 200L, 40000L, -70000L, -(1L << 40), Long.MAX_VALUE);
      assertThat(root.key("text").text()).isEqualTo("h\u00e9llo \u4e16");
      assertThat(root.key("long-text").text()).isEqualTo("x".repeat(70000));
      assertThat(root.key("list").at(1).integers()).containsExactly(2, 3);
      assertThat(root.key("list").at(2).size()).isZero();
      assertThat(IntStream.range(0, 5).map(i -> root.key("tuples").at(i).size()))
          .containsExactly(0, 1, 2, 3, 4);
      assertThat(root.key("tuples").at(4).integers()).containsExactly(1, 2, 3, 4);
      assertThat(root.key("dict").keys()).containsExactly("a");
      assertThat(root.key("ordered").keys()).containsExactly("z", "a");
      assertThat(root.key("size").integers()).containsExactly(2, 3);
      assertThat(root.key("dtype").describe()).isEqualTo("the dtype bfloat16");
      assertThat(root.key("shared").at(1).at(0).text()).isEqualTo("a");
      assertThat(integers(root.key("tensor"))).containsExactly(0, 1, 2, 3, 4, 5);
      assertThat(root.key("tensor").tensor().shape()).containsExactly(2L, 3L);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "types.pt, float64, -2",
    "types.pt, float32, -2",
    "types.pt, float16, -2",
    "types.pt, bfloat16, -2",
    "types.pt, int64, -2",
    "types.pt, int32, -2",
    "types.pt, int16, -2",
    "types.pt, int8, -2",
    "types.pt, uint8, 0",
    "big-endian.pt, float64, -2",
    "big-endian.pt, float16, -2",
    "big-endian.pt, bfloat16, -2",
    "big-endian.pt, int32, -2",
    "big-endian.pt, uint8, 0",
  })
  void everyType(String name, String type, int first) {
    try (TorchFile file = open("good/" + name)) {
      TorchValue value = file.root().key(type);

      assertThat(value.tensor().type()).hasToString(type);
      assertThat(floats(value))
          .containsExactly(first, first + 1, first + 2, first + 3, first + 4, first + 5);
      if (!value.tensor().type().isFloating()) {
        assertThat(integers(value))
            .containsExactly(first, first + 1, first + 2, first + 3, first + 4, first + 5);
      } else {
        assertThatThrownBy(() -> integers(value))
            .isInstanceOf(TraceFormatException.class)
            .hasMessageContaining("Cannot read whole numbers from")
            .hasMessageContaining("a tensor of " + type);
      }
    }
  }

  @Test
  void truthValues() {
    try (TorchFile file = open("good/types.pt")) {
      assertThat(integers(file.root().key("bool"))).containsExactly(0, 1, 0, 1, 0, 1);
    }
  }

  @Test
  void offsetsAndStridesAreHonoured() {
    try (TorchFile file = open("good/strided.pt")) {
      TorchValue root = file.root();

      assertThat(integers(root.key("base"))).hasSize(24).startsWith(0, 1, 2).endsWith(22, 23);
      assertThat(integers(root.key("slice"))).containsExactly(5, 6, 7, 8);
      assertThat(integers(root.key("step"))).containsExactly(1, 4, 7, 10, 13, 16, 19);
      assertThat(integers(root.key("transposed"))).startsWith(0, 6, 12, 18, 1, 7).hasSize(24);
      assertThat(integers(root.key("middle"))).containsExactly(4, 5, 6, 7, 16, 17, 18, 19);
      assertThat(integers(root.key("permuted"))).startsWith(0, 4, 8, 12, 16, 20, 1, 5).hasSize(24);
      assertThat(integers(root.key("expanded"))).containsExactly(3, 3, 3, 3, 3, 4, 4, 4, 4, 4);
      assertThat(integers(root.key("scalar"))).containsExactly(9);
      assertThat(root.key("scalar").tensor().shape()).isEmpty();
      assertThat(integers(root.key("empty"))).isEmpty();
      long[] part = new long[3];
      root.key("transposed").tensor().readIntegers(4, 3, part);
      assertThat(part).containsExactly(1, 7, 13);
    }
  }

  @Test
  void modelsAreReadAsTheirTensors() {
    try (TorchFile file = open("good/state-dict.pt")) {
      assertThat(file.root().keys()).containsExactly("weight", "bias");
      assertThat(file.root().key("weight").tensor().shape()).containsExactly(2L, 3L);
    }

    try (TorchFile file = open("good/parameter.pt")) {
      assertThat(floats(file.root())).containsExactly(1, 2);
    }
  }

  @Test
  void numpyArrays() {
    float[] expected = new float[24];
    for (int i = 0; i < 24; i++) {
      expected[i] = i;
    }

    for (String name : List.of("numpy-2.pth", "numpy-4.pth", "numpy-fortran.pth")) {
      try (TorchFile file = open("good/" + name)) {
        assertThat(floats(file.root())).as(name).containsExactly(expected);
        assertThat(file.root().tensor(3).shape()).containsExactly(2L, 3L, 4L);
      }
    }

    try (TorchFile file = open("good/numpy-list.pth")) {
      assertThat(floats(file.root().at(0))).containsExactly(expected);
      assertThat(floats(file.root().at(1))).containsExactly(expected);
      assertThat(file.root().at(1).tensor().type()).isEqualTo(TorchType.FLOAT64);
    }
  }

  @Test
  void aListMayHoldItself() {
    try (TorchFile file = open("good/loop.pt")) {
      TorchValue loop = file.root().key("loop");

      assertThat(loop.at(0).at(0).at(0).size()).isOne();
      assertThat(loop.describe()).isEqualTo("a list of 1");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "evil.pt; it names posix.system, which is not among the few names; nothing of that name was loaded",
        "evil-4.pt; it names posix.system",
        "eval.pt; it names builtins.eval",
        "java.pt; it names java.lang.Runtime",
        "inst.pt; opcode 0x69 'i' is not among those",
        "newobj.pt; opcode 0x81 is not among those",
        "namespace.pt; it names argparse.Namespace",
        "module.pt; it names torch.nn.modules.linear.Linear",
        "complex.pt; it names torch.ComplexFloatStorage",
        "sparse.pt; it names torch._utils._rebuild_sparse_tensor",
        "objects.pth; numpy dtype 'O8', expected plain numbers",
        "legacy.pt; it has the form of PyTorch before 1.6. Maybe load it and save it again",
        "deflated.pt; is compressed, torch.save stores its members as they are",
        "no-storage.pt; its pickle names storage archive/data/0, which it does not have",
        "short-storage.pt; has 36 bytes, its pickle announces 10 elements of int32",
        "odd-storage.pt; has 41 bytes, its pickle announces 10 elements of int32",
        "shape.pt; a tensor of shape (11,), strides (1,) and offset 0 does not fit its storage of 10",
        "stride.pt; a tensor of shape (10,), strides (2,) and offset 0 does not fit",
        "negative-shape.pt; the shape of a tensor holds -1",
        "repeated.pt; repeats the 10 elements of its storage. Maybe save it with .contiguous()",
        "overflow.pt; does not fit its storage of 10 elements",
        "key.pt; a storage with key 'x', expected a number",
        "two.pt; has 2 members ROOT/data.pkl, expected 1",
        "twice.pt; Invalid zip archive; ",
        "no-pickle.pt; has 0 members ROOT/data.pkl, expected 1",
        "truncated.pt; Invalid zip archive",
        "crc.pt; archive/data/0 has CRC; by the archive",
        "crc-pickle.pt; archive/data.pkl has CRC; by the archive",
        "text-length.pt; announces 2147483647 bytes at byte 7, but has 4 left",
        "text-length-8.pt; announces 18446744073709551615 bytes at byte 11, but has 4 left",
        "bytes-length.pt; announces 9223372036854775807 bytes at byte 11, but has 4 left",
        "utf-8.pt; has a text that is not UTF-8",
        "protocol.pt; protocol 7, known are 2 to 5",
        "protocol-0.pt; opcode 0x49 'I'",
        "no-stop.pt; ends at byte 3",
        "empty.pt; ends at byte 0",
        "two-values.pt; it ends with 2 values, expected 1",
        "underflow.pt; an opcode takes 2 values where there are fewer",
        "mark.pt; an opcode takes values since a mark where there is none",
        "memo.pt; it recalls value 5, which is not in its memo",
        "marks.pt; more than 1000 nested containers",
        "key-list.pt; the key of a dict is a list of 0",
        "key-alone.pt; a key without a value",
        "append-tuple.pt; it appends to a tuple of 0, which is no list",
        "long.pt; a whole number of 9 bytes, at most 8",
        "persistent.pt; a persistent id is None",
      })
  void brokenFilesSayWhat(String nameAndMessages) {
    String[] parts = nameAndMessages.split("; ");
    Path path = Golden.path("torch/broken/" + parts[0]);

    assertThatThrownBy(
            () -> {
              try (TorchFile file = TorchFile.open(path)) {
                TorchValue root = file.root();
                if (root.has("t")) {
                  integers(root.key("t"));
                }
              }
            })
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContainingAll(Arrays.copyOf(parts, parts.length));
    assertThat(Files.exists(Path.of("/tmp/evil"))).isFalse();
  }

  @Test
  void askingForWhatIsNotThereSaysWhereAndWhatItIs() {
    Path path = Golden.path("torch/good/values-2.pt");
    try (TorchFile file = TorchFile.open(path)) {
      TorchValue root = file.root();

      assertThatThrownBy(() -> root.key("list").at(1).key("x"))
          .hasMessage(
              "Invalid value at list[1] of %s: a list of 2, expected a dict with key x"
                  .formatted(path));
      assertThatThrownBy(() -> root.key("dict").key("b"))
          .hasMessage("Missing b in dict of %s: its keys are [a]".formatted(path));
      assertThatThrownBy(() -> root.key("list").integers())
          .hasMessageContaining("Invalid value at list[1]")
          .hasMessageContaining("expected a whole number");
      assertThatThrownBy(() -> root.key("tensor").tensor(3))
          .hasMessageContaining("a tensor (2, 3) of int32, expected a tensor of 3 axes");
      assertThatThrownBy(() -> root.key("half").integer())
          .hasMessageContaining("0.5, expected a whole number");
    }
  }
}
