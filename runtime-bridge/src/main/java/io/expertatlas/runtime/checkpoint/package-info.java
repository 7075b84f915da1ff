/**
 * Checkpoints in Hugging Face's layout: {@code config.json} and tensors by name from one or many
 * safetensors files, mapped into memory, of any size. May import Jackson.
 */
package io.expertatlas.runtime.checkpoint;
