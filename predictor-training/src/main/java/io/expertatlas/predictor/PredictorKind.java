package io.expertatlas.predictor;

import java.util.Arrays;
import java.util.List;

/** The predictors that there are. */
public enum PredictorKind {
  /** The experts that were chosen most in training, whatever the token. */
  POPULARITY("popularity", false, false),
  /** The experts that the sequence's previous token chose in the layer that is predicted. */
  PREVIOUS_TOKEN("previous-token", false, false),
  /** P(expert of layer l + h | expert of layer l), averaged over the chosen experts of layer l. */
  AFFINITY("affinity", false, false),
  /** Layer l's router input through layer l + h's own gate. */
  NEXT_GATE("next-gate", true, false),
  /** APTMoE's: a trained linear map of layer l's router input. */
  PRE_GATE("pre-gate", true, true),
  /** The pre-gate with the chosen experts of layer l and the affinity as features. */
  AFFINE_ROUTE("affine-route", true, true),
  /** The same with a trained low-rank layer of rectified units beside the linear map. */
  RESIDUAL("residual", true, true);

  private final String word;
  private final boolean readsHidden;
  private final boolean trained;

  PredictorKind(String word, boolean readsHidden, boolean trained) {
    this.word = word;
    this.readsHidden = readsHidden;
    this.trained = trained;
  }

  /** The word in files and options. */
  public String word() {
    return word;
  }

  /** Whether it needs the router's input. */
  public boolean readsHidden() {
    return readsHidden;
  }

  /** Whether its weights are found by gradient descent. */
  public boolean isTrained() {
    return trained;
  }

  /**
   * The kind of a word.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static PredictorKind ofWord(String word) {
    for (PredictorKind kind : values()) {
      if (kind.word.equals(word)) {
        return kind;
      }
    }

    throw new IllegalArgumentException(
        "Invalid predictor: %s, known are %s".formatted(word, words()));
  }

  /** The words of all kinds. */
  public static List<String> words() {
    return Arrays.stream(values()).map(PredictorKind::word).toList();
  }
}
