package io.expertatlas.predictor.parquet;

/**
 * A row of {@code popularity.parquet}.
 *
 * @param iteration counted from 0
 * @param layer the layer of the experts
 * @param source {@code gate}, or the predictor's word
 * @param headOut layers ahead of which it was predicted; 0 for the gate
 * @param expert layer-local id
 * @param tokens that chose it, or were predicted to
 */
record PopularityRow(
    int iteration, int layer, String source, int headOut, int expert, long tokens) {}
