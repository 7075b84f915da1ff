package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.Offload;
import java.util.List;

/**
 * What one placement in one mode gave.
 *
 * @param placement what placed the experts
 * @param mode how tokens travelled
 * @param ranks number of ranks
 * @param predictor what foretold experts that were fetched ahead, or {@code none}
 * @param cpuExperts who computed missing experts, or {@code none}
 * @param hostCosts what that was decided by
 * @param decode one entry for each batch
 * @param prefill of all prompts
 */
public record Measurement(
    String placement,
    String mode,
    int ranks,
    String predictor,
    String cpuExperts,
    HostCosts hostCosts,
    List<Decode> decode,
    Prefill prefill) {
  /**
   * Decode.
   *
   * @param batch sequences
   * @param tokensPerSecond median of the rounds, all sequences together
   * @param stepBytes bytes that a step cannot do without
   * @param bytesMoved hidden states and partial sums between ranks, a step
   * @param contextBytesMoved keys and values between ranks, a step
   * @param offloaded what loading experts from the host cost in the steps of the last round
   */
  public record Decode(
      int batch,
      double tokensPerSecond,
      double stepBytes,
      double bytesMoved,
      double contextBytesMoved,
      Offload.Use offloaded) {
    /** Tokens a second if memory did nothing but bring the bytes of a step. */
    public double roofline(Machine machine) {
      return batch * machine.bytesPerSecond() / stepBytes;
    }
  }

  /**
   * Prefill.
   *
   * @param tokens of all prompts
   * @param tokensPerSecond median of the rounds
   * @param bytesMoved hidden states and partial sums between ranks, in all
   * @param contextBytesMoved keys and values between ranks, in all
   */
  public record Prefill(
      int tokens, double tokensPerSecond, double bytesMoved, double contextBytesMoved) {
    /** Tokens a second if there were nothing but the dense products. */
    public double products(Machine machine) {
      return tokens / machine.productNanos() * 1e9;
    }
  }
}
