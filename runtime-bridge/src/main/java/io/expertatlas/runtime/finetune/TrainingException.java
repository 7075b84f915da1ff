package io.expertatlas.runtime.finetune;

/** A training that cannot go on: its numbers or its checkpoint say so. */
public final class TrainingException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** With a message that holds the numbers. */
  public TrainingException(String message) {
    super(message);
  }
}
