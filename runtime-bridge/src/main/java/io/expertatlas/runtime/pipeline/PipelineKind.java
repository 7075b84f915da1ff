package io.expertatlas.runtime.pipeline;

import java.util.Arrays;
import java.util.stream.Collectors;

/** How stages are dealt to devices, and whether their weights come and go. */
public enum PipelineKind {
  /** A stage for each device, always resident. */
  GPIPE("gpipe", false),
  /** A block of consecutive stages for each device, loaded one by one. */
  GPIPE_OFFLOAD("gpipe-offload", true),
  /** Every G-th stage for each device, whole stages loaded, the next one ahead. */
  MOBIUS("mobius", true),
  /**
   * The stages of Mobius; only the experts worth a copy are loaded, the CPU computes the others.
   */
  APTMOE("aptmoe", true);

  private final String word;
  private final boolean offloads;

  PipelineKind(String word, boolean offloads) {
    this.word = word;
    this.offloads = offloads;
  }

  /** The name in options and files. */
  public String word() {
    return word;
  }

  /** Whether weights live in host memory and are loaded stage by stage. */
  public boolean offloads() {
    return offloads;
  }

  /** The device of a stage, of so many stages on so many devices. */
  int owner(int stage, int stages, int devices) {
    return switch (this) {
      case GPIPE -> stage;
      case GPIPE_OFFLOAD -> stage / (stages / devices);
      case MOBIUS, APTMOE -> stage % devices;
    };
  }

  /**
   * The kind of a word.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static PipelineKind ofWord(String word) {
    return Arrays.stream(values())
        .filter(kind -> kind.word.equals(word))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "Invalid pipeline: %s, one of %s"
                        .formatted(
                            word,
                            Arrays.stream(values())
                                .map(PipelineKind::word)
                                .collect(Collectors.joining(", ")))));
  }
}
