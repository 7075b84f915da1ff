package io.expertatlas.placement.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.PlacementFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelConfigTest {
  @TempDir Path folder;

  private ModelConfig read(String json) throws IOException {
    return ModelConfig.read(
        Files.writeString(folder.resolve("config.json"), json.replace('\'', '"')));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '@',
      value = {
        "'num_hidden_layers':4,'num_local_experts':8|0 1 2 3",
        "'num_hidden_layers':4,'n_routed_experts':8,'first_k_dense_replace':1,'moe_layer_freq':1|1 2 3",
        "'num_hidden_layers':6,'n_routed_experts':8,'first_k_dense_replace':1,'moe_layer_freq':2|2 4",
        "'num_hidden_layers':3,'n_routed_experts':8,'moe_layer_freq':[0,1,1]|1 2",
        "'num_hidden_layers':4,'num_experts':8,'decoder_sparse_step':2|1 3",
        "'num_hidden_layers':4,'num_experts':8,'decoder_sparse_step':1,'mlp_only_layers':[0,2]|1 3",
        "'num_hidden_layers':3,'num_experts':8,'mlp_layer_types':['dense','sparse','sparse'],'first_k_dense_replace':1|1 2",
        "'num_hidden_layers':4,'num_local_experts':8,'interleave_moe_layer_step':2|1 3",
        "'num_hidden_layers':4,'num_local_experts':8,'interleave_moe_layer_step':1,'moe_layers':[1]|1",
        "'num_hidden_layers':6,'moe_num_experts':8,'moe_layer_start_index':2,'moe_layer_end_index':4,'moe_layer_interval':1|2 3 4",
        "'num_hidden_layers':6,'moe_num_experts':8,'moe_layer_start_index':1,'moe_layer_end_index':-1,'moe_layer_interval':2|1 3 5",
        "'num_hidden_layers':5,'num_experts':8,'expert_layer_period':2,'expert_layer_offset':1|1 3",
        "'text_config':{'num_hidden_layers':2,'num_experts':8}|0 1",
        "'num_hidden_layers':2,'num_experts':8,'mlp_only_layers':null,'n_group':null|0 1"
      })
  void theLayersOfEachFamilyAreFound(String fields, String layers) throws IOException {
    ModelConfig config = read("{" + fields + "}");
    assertThat(String.join(" ", config.moeLayers().stream().map(String::valueOf).toList()))
        .isEqualTo(layers);
    assertThat(config.experts()).isEqualTo(8);
    assertThat(config.mtpLayers()).isZero();
    assertThat(config.groups()).isEqualTo(1);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '@',
      value = {
        "[]|: is [], expected an object",
        "{'num_experts':8}|: num_hidden_layers is missing",
        "{'num_hidden_layers':0,'num_experts':8}|: num_hidden_layers is 0, expected a whole number, 1 to 65536",
        "{'num_hidden_layers':2}|: no number of experts: none of n_routed_experts, num_local_experts, num_experts, moe_num_experts",
        "{'num_hidden_layers':2,'num_experts':[8]}|: num_experts is [8], expected a whole number, 1 to 65536",
        "{'num_hidden_layers':2,'num_experts':8,'num_local_experts':4}|: num_experts is 8, num_local_experts is 4",
        "{'num_hidden_layers':2,'num_experts':8,'first_k_dense_replace':2}|: none of the 2 layers is a MoE layer",
        "{'num_hidden_layers':2,'num_experts':8,'moe_layer_freq':[1]}|: moe_layer_freq has 1 entries, num_hidden_layers is 2",
        "{'num_hidden_layers':2,'num_experts':8,'moe_layer_freq':[1,2]}|: moe_layer_freq[1] is 2, expected 0 or 1",
        "{'num_hidden_layers':2,'num_experts':8,'mlp_only_layers':[2]}|: mlp_only_layers[0] is 2, expected a whole number, 0 to 1",
        "{'num_hidden_layers':2,'num_experts':8,'moe_layer_freq':0}|: moe_layer_freq is 0, expected a whole number, 1 to 65536",
        "{'num_hidden_layers':3,'num_experts':8,'first_k_dense_replace':1,'decoder_sparse_step':1}|: decoder_sparse_step makes 3 layers MoE layers, first_k_dense_replace another set of 2",
        "{'num_hidden_layers':3,'num_experts':128,'is_encoder_decoder':true}|: is_encoder_decoder is true, expected a model with a decoder alone",
        "{'text_config':{'num_hidden_layers':2,'num_experts':'8'}}|: text_config.num_experts is '8', expected a whole number, 1 to 65536",
        "{'num_hidden_layers':2|:1: not JSON at column 23"
      })
  void everyProblemIsNamed(String json, String message) {
    assertThatThrownBy(() -> read(json))
        .isInstanceOf(PlacementFormatException.class)
        .satisfies(
            e ->
                assertThat(e.getMessage().replace('"', '\''))
                    .isEqualTo("Cannot read " + folder.resolve("config.json") + message));
  }

  @Test
  void layersStandWhereTheModelHasThem() throws IOException {
    ModelConfig config = ModelConfig.read(Engines.copy("config.json", folder));
    assertThat(config.groups()).isEqualTo(2);
    LayerRows rows = LayerRows.of(config, 4, 8);
    assertThat(rows.inWords())
        .isEqualTo(
            "model of 5 layers: 4 MoE layers placed, the first is layer 1, the last 4, 1 MTP layers unplaced");
    assertThat(rows.layerAt(0)).isEqualTo(-1);
    assertThat(rows.layerAt(4)).isEqualTo(3);
    LayerRows mtp = LayerRows.of(config, 5, 8);
    assertThat(mtp.placedMtpLayers()).isEqualTo(1);
    assertThat(mtp.modelLayer(4)).isEqualTo(5);
    assertThat(LayerRows.plain(3).inWords())
        .isEqualTo("no model config given: the placement's layers are written as layers 0 to 2");
    assertThatThrownBy(() -> LayerRows.of(config, 3, 8))
        .hasMessage(
            "Cannot use %s: 4 of the model's 5 layers are MoE layers (and 1 more for MTP), here are 3"
                .formatted(config.file()));
    assertThatThrownBy(() -> LayerRows.of(config, 4, 16))
        .hasMessage(
            "Cannot use %s: the model has 8 experts in a layer, here are 16"
                .formatted(config.file()));
  }
}
