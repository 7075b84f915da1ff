package io.expertatlas.placement.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.Copies;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class EngineFormatsTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "sglang,plan.csv,sglang.json,true",
    "sglang,plan.csv,plain-sglang.json,false",
    "trtllm,plan.csv,trtllm.yaml,true",
    "trtllm,plan.csv,plain-trtllm.yaml,false",
    "vllm-ascend,plan.csv,vllm-ascend.json,true",
    "vllm-ascend,plan.csv,vllm-ascend.json,false",
    "vllm,plan.csv,vllm.jsonl,true",
    "vllm,plan.csv,vllm.jsonl,false",
    "vllm-list,plan.csv,vllm-list.json,true",
    "vllm-ranks,same.csv,vllm-ranks.json,true",
    "llama-cpp,whole.csv,llama-cpp.txt,true",
    "llama-cpp,whole.csv,plain-llama-cpp.txt,false"
  })
  void filesAreTheGoldenOnesAndComeBack(String name, String csv, String file, boolean configured)
      throws IOException {
    PlacementFormat format = PlacementFormats.find(name);
    Placement placement = Engines.placement(csv, folder);
    LayerRows layers = configured ? Engines.configured(folder) : Engines.PLAIN;
    assertThat(format.bytes(placement, layers, Engines.POPULARITY))
        .asString()
        .isEqualTo(new String(Engines.golden(file)));
    Path golden = Engines.copy(file, folder);
    assertThat(PlacementFormats.sniff(golden)).contains(format);
    assertThat(format.read(golden, layers, 8, Engines.CLUSTER)).isEqualTo(placement);
  }

  @ParameterizedTest
  @CsvSource({
    "sglang,copies-sglang.json",
    "trtllm,copies-trtllm.yaml",
    "vllm-ascend,copies-vllm-ascend.json",
    "vllm,copies-vllm.jsonl",
    "vllm-list,copies-vllm-list.json"
  })
  void copiesOfExpertsAreWrittenAndComeBack(String name, String file) throws IOException {
    PlacementFormat format = PlacementFormats.find(name);
    Placement placement = Engines.copies();
    LayerRows layers = Engines.configured(folder);
    assertThat(placement.hasCopies()).isTrue();
    format.check(8, 12, Engines.CLUSTER);
    assertThat(format.bytes(placement, layers, Engines.POPULARITY))
        .asString()
        .isEqualTo(new String(Engines.golden(file)));
    Path golden = Engines.copy(file, folder);
    assertThat(PlacementFormats.sniff(golden)).contains(format);
    assertThat(format.read(golden, layers, 8, Engines.CLUSTER)).isEqualTo(placement);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "vllm-ranks|it has one GPU for each expert, and %s. Maybe export vllm or vllm-list",
        "llama-cpp|it has every expert once, and %s"
      })
  void formatsWithoutCopiesSaySo(String name, String why) throws IOException {
    PlacementFormat format = PlacementFormats.find(name);
    String message = "Cannot export " + name + ": " + why;
    assertThatThrownBy(() -> format.check(8, 12, Engines.CLUSTER))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage(message.formatted("here are 12 slots for 8 experts"));
    Placement copies = Engines.copies();
    assertThatThrownBy(() -> format.bytes(copies, Engines.PLAIN, Engines.POPULARITY))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage(message.formatted("layer 0 has copies of experts"));
  }

  @Test
  void layersWithUnequalSlotsAreNotWritten() {
    Placement placement =
        Placement.ofCopies(new Topology(1, 2), new int[][][] {{{0}, {1}}, {{0, 1}, {0, 1}}});
    for (String name : List.of("sglang", "trtllm", "vllm-ascend", "vllm", "vllm-list")) {
      PlacementFormat format = PlacementFormats.find(name);
      assertThatThrownBy(() -> format.bytes(placement, LayerRows.plain(2), Engines.POPULARITY))
          .isInstanceOf(PlacementFormatException.class)
          .hasMessage(
              "Cannot export %s: layer 1 has 4 slots, layer 0 has 2, the engine needs equally many"
                  .formatted(name));
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void whatIsWrittenIsReadBack(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology = new Topology(1 + random.nextInt(3), 1 + random.nextInt(3));
    int slotsPerGpu = 1 + random.nextInt(4);
    int slots = topology.gpus() * slotsPerGpu;
    int experts = random.nextBoolean() ? slots : 1 + random.nextInt(slots);
    int layers = 1 + random.nextInt(5);
    int dense = random.nextInt(3);
    int mtp = random.nextInt(3);
    ModelConfig config =
        new ModelConfig(
            Path.of("config.json"),
            2 * layers + dense,
            IntStream.range(0, layers).map(l -> dense + 2 * l).boxed().toList(),
            mtp,
            experts,
            1,
            0);
    int placed = random.nextBoolean() ? layers : layers + mtp;
    LayerRows rows =
        random.nextBoolean() ? LayerRows.plain(placed) : LayerRows.of(config, placed, experts);
    Placement placement = Copies.random(topology, placed, experts, slotsPerGpu, random);
    for (String name : List.of("sglang", "trtllm", "vllm-ascend", "vllm", "vllm-list")) {
      PlacementFormat format = PlacementFormats.find(name);
      Path file = folder.resolve(format.fileName());
      Files.write(file, format.bytes(placement, rows, Engines.POPULARITY));
      assertThat(PlacementFormats.sniff(file)).contains(format);
      boolean holdsMtp = name.equals("trtllm") || name.equals("vllm-ascend");
      if (holdsMtp || rows.placedMtpLayers() == 0) {
        assertThat(format.read(file, rows, experts, topology)).as(name).isEqualTo(placement);
      } else {
        assertThatThrownBy(() -> format.read(file, rows, experts, topology))
            .isInstanceOf(PlacementFormatException.class)
            .hasMessageContaining("no rows for MTP, here are %d MTP layers".formatted(mtp));
      }
    }
  }

  @Test
  void oneExpertOnOneGpuFitsEveryFormat() throws IOException {
    Placement one = new Placement(new Topology(1, 1), new int[][] {{0}});
    for (PlacementFormat format : PlacementFormats.all()) {
      if (format.name().equals("ktransformers")) {
        continue;
      }

      format.check(1, 1, one.topology());
      Path file = folder.resolve(format.fileName());
      Files.write(file, format.bytes(one, LayerRows.plain(1), Engines.POPULARITY));
      assertThat(format.read(file, LayerRows.plain(1), 1, one.topology())).isEqualTo(one);
    }
  }

  @Test
  void overridesWrittenByOthersAreRead() throws IOException {
    PlacementFormat format = PlacementFormats.find("llama-cpp");
    for (String line :
        List.of(
            "blk\\.[0-1]\\.ffn_(gate|up|down)_exps.*=CUDA0,exps=CUDA1",
            "blk\\.0\\.=ROCm0,blk\\.1\\.ffn_gate_up_exps=ROCm0,"
                + "blk\\.1\\.ffn_down_exps=ROCm0,blk\\.[2-3]\\.ffn_(ch|)exps=CPU,"
                + "blk\\.[2-3]\\.ffn_.*_exps=ROCm1")) {
      Path file = Files.writeString(folder.resolve("overrides"), line);
      assertThat(PlacementFormats.sniff(file)).contains(format);
      assertThat(format.read(file, Engines.PLAIN, 2, Engines.CLUSTER).toArray())
          .isEqualTo(new int[][] {{0, 0}, {0, 0}, {1, 1}, {1, 1}});
    }
  }

  @Test
  void unequalPlacementsAreNotWritten() {
    Placement unequal = new Placement(new Topology(1, 2), new int[][] {{0, 1}, {1, 1}});
    Placement three = new Placement(new Topology(1, 2), new int[][] {{0, 1, 1}});
    for (String name :
        List.of("sglang", "trtllm", "vllm-ascend", "vllm", "vllm-list", "vllm-ranks")) {
      PlacementFormat format = PlacementFormats.find(name);
      LayerRows layers = LayerRows.plain(2);
      assertThatThrownBy(() -> format.bytes(unequal, layers, Engines.POPULARITY))
          .isInstanceOf(PlacementFormatException.class)
          .hasMessage(
              "Cannot export %s: layer 1 has 0 experts on GPU 0, the engine needs 1 on each"
                  .formatted(name));
      String message =
          "Cannot export %s: 3 slots of a layer on 2 GPUs, the engine needs equally many on each. Maybe add 1 for copies of experts"
              .formatted(name);
      assertThatThrownBy(() -> format.check(3, 3, three.topology())).hasMessage(message);
      assertThatThrownBy(() -> format.bytes(three, LayerRows.plain(1), Engines.POPULARITY))
          .hasMessage(message);
    }
  }

  @Test
  void whatOneListOrOneBufferCannotHoldIsNotWritten() throws IOException {
    Placement plan = Engines.placement("plan.csv", folder);
    assertThatThrownBy(
            () ->
                PlacementFormats.find("vllm-ranks").bytes(plan, Engines.PLAIN, Engines.POPULARITY))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage(
            "Cannot export vllm-ranks: it has one list for all layers, and expert 0 is on GPU 0 in layer 0, on GPU 3 in layer 1. Maybe export vllm or vllm-list");
    assertThatThrownBy(
            () -> PlacementFormats.find("llama-cpp").bytes(plan, Engines.PLAIN, Engines.POPULARITY))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage(
            "Cannot export llama-cpp: it keeps all experts of a layer on one GPU, and layer 0 has expert 0 on GPU 0, expert 1 on GPU 3");
    assertThatThrownBy(() -> PlacementFormats.find("llama-cpp").check(8, 8, Engines.CLUSTER))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage(
            "Cannot export llama-cpp: it keeps all experts of a layer on one GPU, and a placement of 8 experts on 4 GPUs splits them");
  }

  @Test
  void filesOfOtherKindsAreNoEngines() throws IOException {
    assertThat(PlacementFormats.sniff(Engines.copy("plan.csv", folder))).isEmpty();
    Path json = Files.writeString(folder.resolve("placement.json"), "{\"format-version\": 1}");
    assertThat(PlacementFormats.sniff(json)).isEmpty();
    assertThat(PlacementFormats.sniff(Files.writeString(json, "{\"a\": [1"))).isEmpty();
    assertThat(PlacementFormats.sniff(Files.writeString(json, ""))).isEmpty();
    assertThatThrownBy(() -> PlacementFormats.find("magic"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid placement format: magic, one of sglang, trtllm, vllm-ascend, vllm, vllm-list, vllm-ranks, llama-cpp, ktransformers");
  }
}
