package io.expertatlas.runtime.matrix;

/**
 * Heads of attention. Query heads share keys and values in groups.
 *
 * @param heads query heads
 * @param keyHeads key and value heads, a divisor of the query heads
 * @param headSize D
 */
public record Heads(int heads, int keyHeads, int headSize) {}
