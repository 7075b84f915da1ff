/**
 * Fine-tuning from text to a folder that can be run: rows of tokens, the loop of steps, checkpoints
 * that survive a kill, the model's files, the report. May import Jackson and the report page of
 * affinity; computes through {@code runtime.train}.
 *
 * <p>Losses are cross-entropies in nats a token; rates are of AdamW.
 */
package io.expertatlas.runtime.finetune;
