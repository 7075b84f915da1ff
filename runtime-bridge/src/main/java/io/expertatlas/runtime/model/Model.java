package io.expertatlas.runtime.model;

import io.expertatlas.placement.TrafficMatrix;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.Offload;
import java.util.List;
import java.util.Optional;

/** A model on its ranks, ready to run. Not safe for several threads. */
public interface Model {
  /** What it is. */
  ModelConfig config();

  /** The devices of the ranks; who opened them closes them. */
  List<Device> devices();

  /**
   * Starts anew with these prompts, as sequences 0, 1, ...: an encoder runs.
   *
   * @param firstSequence number of the first one in the whole run
   * @return the tokens that the decoder starts with, for each sequence
   */
  List<int[]> begin(int firstSequence, List<int[]> prompts);

  /**
   * Runs tokens through the decoder.
   *
   * @return the logits that were wanted, by rank
   */
  List<Logits> forward(Step step);

  /** A faster way through decode steps, where there is one: with one rank whose experts stay. */
  default Optional<DecodeLoop> decodeLoop() {
    return Optional.empty();
  }

  /** Hidden state vectors that MoE layers moved since the model was made. */
  TrafficMatrix moved();

  /**
   * Keys and values that coherent mode moved since the model was made, by layer with attention: of
   * an encoder, then of the decoder, then the encoder's output.
   */
  TrafficMatrix context();

  /** What loading experts from the host cost since the model was made. */
  Offload.Use offloaded();

  /**
   * From now on, offloaded experts are fetched ahead as something foretells them.
   *
   * @throws IllegalArgumentException if this model's are not: those of Mixtral on one rank are
   */
  default void foretell(Foretelling by) {
    throw new IllegalArgumentException(
        "Cannot fetch experts ahead for %s: only for Mixtral".formatted(config().architecture()));
  }

  /**
   * Measures what an offloaded expert costs on a CPU and on its way to the device; called before
   * anything is run.
   *
   * @param cpu of the host
   * @throws IllegalArgumentException if the plan gives the CPU no part
   */
  default HostCosts measureHost(Device cpu) {
    throw new IllegalArgumentException(
        "Cannot compute experts on the CPU for %s".formatted(config().architecture()));
  }

  /**
   * From now on, offloaded experts that are missing on the device are computed on a CPU as a rule
   * says.
   *
   * @param cpu of the host
   * @throws IllegalArgumentException if the plan gives the CPU no part
   */
  default void computeOnHost(Device cpu, CpuRule rule) {
    throw new IllegalArgumentException(
        "Cannot compute experts on the CPU for %s".formatted(config().architecture()));
  }

  /** Bytes of a hidden state vector as it is moved. */
  long vectorBytes();

  /** Bytes of a key or a value of a token as it is moved. */
  long contextVectorBytes();
}
