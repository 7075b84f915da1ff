package io.expertatlas.runtime;

import io.expertatlas.placement.TrafficMatrix;
import java.util.List;

/**
 * What a run gave.
 *
 * @param model where the model is, or the name of its shape
 * @param architecture its name in checkpoints
 * @param device kind of the ranks' devices
 * @param precision of weights and activations
 * @param ranks number of ranks
 * @param mode how tokens travelled
 * @param placement what placed the experts
 * @param seed of samples and random weights
 * @param temperature 0 for greedy
 * @param topP of sampling
 * @param prompts input ids of each sequence
 * @param newTokens what followed
 * @param texts the new tokens as text; empty without a tokenizer
 * @param prefillTokensPerSecond prompt tokens a second
 * @param decodeTokensPerSecond new tokens a second, without the first of each sequence
 * @param moved vectors between ranks, {@code [layer][from][to]}
 * @param vectorBytes of such a vector
 * @param context keys and values between ranks
 * @param contextVectorBytes of a key or a value
 * @param expertTokens choices {@code [layer][expert]}
 * @param predictor what foretold experts that were fetched ahead, or {@code none}
 * @param cpuExperts who computed experts that were missing on the device, or {@code none}
 * @param hostCosts what that was decided by
 * @param offloaded what loading experts from the host cost
 */
public record RunResult(
    String model,
    String architecture,
    String device,
    String precision,
    int ranks,
    String mode,
    String placement,
    long seed,
    double temperature,
    double topP,
    List<int[]> prompts,
    List<int[]> newTokens,
    List<String> texts,
    double prefillTokensPerSecond,
    double decodeTokensPerSecond,
    TrafficMatrix moved,
    long vectorBytes,
    TrafficMatrix context,
    long contextVectorBytes,
    long[][] expertTokens,
    String predictor,
    String cpuExperts,
    HostCosts hostCosts,
    Offload.Use offloaded) {}
