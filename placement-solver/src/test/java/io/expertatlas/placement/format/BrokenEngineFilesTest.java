package io.expertatlas.placement.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Twins of the golden files with one thing wrong: format | what is replaced | by what | message.
 */
class BrokenEngineFilesTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '@',
      maxCharsPerColumn = 20000,
      value = {
        // SGLang
        "sglang|]]}|]],'rank':0}|: rank is no key of this format, which has physical_to_logical_map",
        "sglang|physical_to_logical_map|logical_count|: logical_count holds counts, from which SGLang chooses by itself: this is no placement",
        "sglang|physical_to|logical_to|: logical_to_logical_map is no key of this format, which has physical_to_logical_map",
        "sglang|[0,1,2,3,4,5,6,7],||: physical_to_logical_map has 4 rows, expected one for each of 5 layers",
        "sglang|[0,5,6|[0,5,5|: physical_to_logical_map[1] has no slot with expert 6",
        "sglang|[0,5,6|[0,'5',6|: physical_to_logical_map[1][1] is '5', expected an expert, 0 to 7",
        "sglang|[0,5,6|[0,8,6|: physical_to_logical_map[1][1] is 8, expected an expert, 0 to 7",
        "sglang|[0,5,6|[0,-1,6|: physical_to_logical_map[1][1] is -1, expected an expert, 0 to 7",
        "sglang|[0,5,6|[0,5.0,6|: physical_to_logical_map[1][1] is 5.0, expected an expert, 0 to 7",
        "sglang|[0,1,2,3|[0,1,2,2|: physical_to_logical_map[0] has no slot with expert 3",
        "sglang|[0,5,6|[5,6|: physical_to_logical_map[1] has 7 slots, the first row has 8",
        "sglang|]]}|]|:2: not JSON at column 1",
        "sglang|]]}|]]} {}|:1: not JSON at column 121",
        "sglang|]]}|]],'physical_to_logical_map':[]}|:1: the key 'physical_to_logical_map' stands twice",
        // TensorRT-LLM
        "trtllm|layer_updates|ep_size: 4~n~layer_updates|:8: ep_size is no key of this format, which has num_slots, initial_global_assignments, layer_updates_per_iter",
        "trtllm|num_slots: 8|num_slots: 9|:3: layer 1 has 8 slots, num_slots is 9",
        "trtllm|num_slots: 8|num_slots: eight|:1: num_slots is eight, expected a whole number, 1 to 1048576",
        "trtllm|num_slots: 8~n~||:1: num_slots is missing",
        "trtllm|  2: [|  3: [|:5: the key 3 stands twice",
        "trtllm|2: [6, 7, 3, 5, 1, 4, 0, 2]~n~  3|3|:3: layer 2 is missing, 4 of them from 1 to 4",
        "trtllm|  1: [|  0: [|:3: layer 0 is none of the MoE layers, 4 of them from 1 to 4",
        "trtllm|  1: [0, 5|  1: [0, 0|:3: layer 1 has no slot with expert 5",
        "trtllm|  1: [0, 5|  1: [0, x|:3: slot 1 of layer 1 is x, expected a whole number, 0 to 7",
        "trtllm|  1: [0|  1: [~n~    0|:3: ok",
        "trtllm|  5: [0, 1|  5: [0, 0|:7: layer 5 has no slot with expert 1",
        "trtllm|3, 6]|3, 6|:7: not YAML: expected ',' or ']', but got :",
        "trtllm|num_slots: 8|num_slots: [8]|:1: expected one value",
        // vLLM-Ascend
        "vllm-ascend|'moe_layer_count':4|'moe_layer_count':5|: moe_layer_count is 5, layer_list has 4",
        "vllm-ascend|'moe_layer_count':4,||: moe_layer_count is missing",
        "vllm-ascend|'layer_id':1|'layer_id':2|: layer_list[1].layer_id is 2, expected a whole number, 1 to 1",
        "vllm-ascend|'device_count':4|'device_count':8|: layer_list[0].device_count is 8, expected a whole number, 4 to 4",
        "vllm-ascend|'device_expert':[0,5]|'device_expert':[0]|: layer_list[0].device_list[1].device_expert has 2 experts, device 0 has 1",
        "vllm-ascend|'device_expert':[0,5]|'device_expert':[0,1]|: layer_list[0] has no slot with expert 5",
        "vllm-ascend|'device_expert':[0,5]|'device_expert':null|: layer_list[0].device_list[0].device_expert is null, expected a list",
        "vllm-ascend|'device_expert':[0,5]|'device_experts':[0,5]|: layer_list[0].device_list[0].device_expert is missing",
        // vLLM
        "vllm|'version':1|'version':2|: line 1.version is 2, expected a whole number, 1 to 1",
        "vllm|'num_redundant_experts':0|'num_redundant_experts':4|: line 1.num_slots is 8, expected 8 experts + 4 redundant ones",
        "vllm|'num_slots':8|'num_slots':9|: line 1.num_slots is 9, expected 8 experts + 0 redundant ones",
        "vllm|'0':[0,5|'0':[0,0|: line 1.initial_global_assignments.0 has no slot with expert 5",
        "vllm|'1':[|'7':[|: line 1.initial_global_assignments.1 is missing",
        "vllm|eplb_initial_mapping|eplb_load_stats|: no line has the record_type eplb_initial_mapping",
        "vllm|eplb_initial_mapping|eplb|: line 1.record_type is eplb, expected eplb_initial_mapping or eplb_load_stats",
        "vllm|{'record|~n~{'record_type':'eplb_load_stats'}~n~{{'record|:3: not JSON at column 2",
        "vllm-list|[[0,5|[[0,0|: [0] has no slot with expert 5",
        "vllm-list|,[4,5,1,6,2,7,0,3]||: it has 3 rows, here are 4 layers",
        "vllm-ranks|rank':[0,|rank':[4,|: expert_to_ep_rank[0] is 4, expected a whole number, 0 to 3",
        "vllm-ranks|rank':[0,|rank':[|: expert_to_ep_rank has 7 entries, here are 8 experts",
        // llama.cpp
        "llama-cpp|CUDA0|CPU|:1: layer 1 goes to CPU, expected one of 4 GPUs: CUDA0 to CUDA3",
        "llama-cpp|CUDA3|CUDA4|:1: layer 4 goes to CUDA4, expected one of 4 GPUs: CUDA0 to CUDA3",
        "llama-cpp|(4)|(5)|:1: no regular expression is found in blk.4.ffn_gate_exps.weight",
        "llama-cpp|(4)|(4|:1: 'blk\\.(4\\.ffn_.*_exps' is no regular expression: Unclosed group",
        "llama-cpp|=CUDA0||:1: 'blk\\.(1;2)\\.ffn_.*_exps', expected a regular expression, = and a buffer",
        "llama-cpp|blk\\.(1;2)|blk\\.1\\.ffn_up_exps=CUDA1,blk\\.(1;2)|:1: layer 1 is split: blk.1.ffn_up_exps.weight goes to CUDA1, others to CUDA0"
      })
  void everyProblemIsNamed(String name, String replaced, String by, String message)
      throws IOException {
    check(name, "", replaced, by, message);
  }

  private void check(String name, String prefix, String replaced, String by, String message)
      throws IOException {
    PlacementFormat format = PlacementFormats.find(name);
    String golden =
        new String(Engines.golden(prefix + format.fileName()), StandardCharsets.UTF_8)
            .replace("\"", "'");
    String find = replaced.replace("~n~", "\n").replace(";", "|");
    if (!golden.contains(find)) {
      throw new AssertionError("The golden file has no " + find);
    }

    int at = golden.indexOf(find);
    String text =
        golden.substring(0, at)
            + (by == null ? "" : by.replace("~n~", "\n").replace(";", "|"))
            + golden.substring(at + find.length());
    Path file = Files.writeString(folder.resolve("broken"), text.replace("'", "\""));
    LayerRows layers = Engines.configured(folder);
    if (message.endsWith(": ok")) {
      format.read(file, layers, 8, Engines.CLUSTER);
      return;
    }

    String what = message.replace(";", "|");
    assertThatThrownBy(() -> format.read(file, layers, 8, Engines.CLUSTER))
        .isInstanceOf(PlacementFormatException.class)
        .satisfies(
            e ->
                assertThat(e.getMessage().replace("\"", "'"))
                    .isIn("Cannot read " + file + what, "Cannot use " + file + what));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '@',
      value = {
        "sglang|[1,5,6|[5,6|: physical_to_logical_map[1] has 11 slots, the first row has 12",
        "sglang|7,2,3,5]|7,3,3,5]|: physical_to_logical_map[1] has no slot with expert 2",
        "trtllm|num_slots: 12|num_slots: 11|:3: layer 1 has 12 slots, num_slots is 11",
        "trtllm|7, 2, 3, 5]|7, 2, 3]|:3: layer 1 has 11 slots, num_slots is 12",
        "vllm-ascend|[3,6,6]|[3,6]|: layer_list[1].device_list[1].device_expert has 3 experts, device 0 has 2",
        "vllm-ascend|[2,3,5]|[3,3,5]|: layer_list[0] has no slot with expert 2",
        "vllm|'num_redundant_experts':4|'num_redundant_experts':3|: line 1.num_slots is 12, expected 8 experts + 3 redundant ones",
        "vllm|'1':[3,6,6|'1':[3,6|: line 1.initial_global_assignments.1 has 11 slots, num_slots is 12",
        "vllm-list|[3,6,6|[3,6|: [1] has 11 slots, the first row has 12"
      })
  void everyProblemWithCopiesIsNamed(String name, String replaced, String by, String message)
      throws IOException {
    check(name, "copies-", replaced, by, message);
  }

  @Test
  void slotsThatDoNotFillTheGpusAreNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("row.json"), "[0,1,2,3,4,5,6,7,0]");
    assertThatThrownBy(
            () -> PlacementFormats.find("vllm-list").read(file, Engines.PLAIN, 8, Engines.CLUSTER))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage(
            "Cannot read %s: the list has 9 slots, expected at least 8, one for each expert, and a multiple of 4 GPUs"
                .formatted(file));
  }

  @Test
  void layersOfOneDeviceFileHaveEquallyManySlots() throws IOException {
    String device = "{\"device_id\":0,\"device_expert\":[%s]}";
    String layer = "{\"layer_id\":%d,\"device_count\":1,\"device_list\":[" + device + "]}";
    Path file =
        Files.writeString(
            folder.resolve("map.json"),
            "{\"moe_layer_count\":2,\"layer_list\":[%s,%s]}"
                .formatted(layer.formatted(0, "0,1"), layer.formatted(1, "0,1,1")));
    assertThatThrownBy(
            () ->
                PlacementFormats.find("vllm-ascend")
                    .read(file, LayerRows.plain(2), 2, new Topology(1, 1)))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage(
            "Cannot read %s: layer_list[1] has 3 slots, the first layer has 2".formatted(file));
  }

  @Test
  void adviceIsGivenWhereTheModelIsUnknown() throws IOException {
    Path sglang = Engines.copy("sglang.json", folder);
    assertThatThrownBy(
            () -> PlacementFormats.find("sglang").read(sglang, Engines.PLAIN, 8, Engines.CLUSTER))
        .hasMessage(
            "Cannot read %s: physical_to_logical_map has 5 rows, expected one for each of 4 layers. Maybe give --model-config: it tells MoE layers from dense ones"
                .formatted(sglang));
    Path trtllm = Engines.copy("trtllm.yaml", folder);
    assertThatThrownBy(
            () -> PlacementFormats.find("trtllm").read(trtllm, Engines.PLAIN, 8, Engines.CLUSTER))
        .hasMessage(
            "Cannot read %s:6: layer 4 is none of the MoE layers, 4 of them from 0 to 3. Maybe give --model-config: it says which model layers they are"
                .formatted(trtllm));
    Path empty = Files.writeString(folder.resolve("empty"), "");
    assertThatThrownBy(
            () -> PlacementFormats.find("trtllm").read(empty, Engines.PLAIN, 8, Engines.CLUSTER))
        .hasMessage("Cannot read %s:1: the file is empty".formatted(empty));
    assertThatThrownBy(
            () ->
                PlacementFormats.find("ktransformers")
                    .read(empty, Engines.PLAIN, 8, Engines.CLUSTER))
        .hasMessage(
            "Cannot use %s: a torch file of counts, from which the engine chooses, is no placement"
                .formatted(empty));
  }
}
