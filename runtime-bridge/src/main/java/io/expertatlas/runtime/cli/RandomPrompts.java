package io.expertatlas.runtime.cli;

import io.expertatlas.trace.terminal.Terminal;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;

/**
 * Prompts of random ids.
 *
 * @param count number of prompts
 * @param length ids of each
 */
record RandomPrompts(int count, int length) {
  private static final Pattern FORM = Pattern.compile("([1-9]\\d{0,6})x([1-9]\\d{0,6})");

  /** Reads {@code 8x1024}. */
  static RandomPrompts parse(String text) {
    Matcher form = FORM.matcher(text);
    if (!form.matches()) {
      throw new IllegalArgumentException(
          "Invalid random prompts: %s, expected prompts x ids, as in 8x1024".formatted(text));
    }

    return new RandomPrompts(Integer.parseInt(form.group(1)), Integer.parseInt(form.group(2)));
  }

  /** The prompts. */
  List<int[]> draw(int vocabulary, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    List<int[]> prompts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      prompts.add(random.ints(length, 0, vocabulary).toArray());
    }

    return prompts;
  }

  /** For picocli. */
  static final class Converter implements ITypeConverter<RandomPrompts> {
    @Override
    public RandomPrompts convert(String value) {
      return Terminal.option(() -> parse(value));
    }
  }
}
