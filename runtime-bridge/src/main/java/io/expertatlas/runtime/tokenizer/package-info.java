/**
 * Text to token ids and back, by the tokenizer of a checkpoint. The only package that loads DJL.
 */
package io.expertatlas.runtime.tokenizer;
