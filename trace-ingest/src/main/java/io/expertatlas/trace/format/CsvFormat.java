package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.input.InputFiles;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Format {@code csv}: a header and a row for each token, or for each token and layer. The columns
 * of ids are named by {@code experts-column}, where <code>{layer}</code> and <code>{rank}</code>
 * stand for numbers from 0; what is not in the name is in the cell, ids separated by blanks, layers
 * by semicolons.
 */
public final class CsvFormat implements TraceFormat {
  /** What separates the cells. */
  enum Separator {
    COMMA(','),
    TAB('\t'),
    SEMICOLON(';');

    private final char character;

    Separator(char character) {
      this.character = character;
    }
  }

  private static final FormatOption<Separator> SEPARATOR =
      FormatOption.choice("separator", Separator.class, "What separates cells (comma).");

  /** For {@link java.util.ServiceLoader}. */
  public CsvFormat() {}

  @Override
  public String name() {
    return "csv";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    String name = InputFiles.plainName(source.path());
    if (!(name.endsWith(".csv") || name.endsWith(".tsv")) || !Files.isRegularFile(source.path())) {
      return false;
    }

    try {
      return !readHeader(source)
          .columns(source.options(), TableOptions.EXPERTS, "experts")
          .isEmpty();
    } catch (TraceFormatException e) {
      return false; // whoever opens it says why
    }
  }

  @Override
  public List<FormatOption<?>> options() {
    List<FormatOption<?>> options = new ArrayList<>(TableOptions.OPTIONS);
    options.add(SEPARATOR);
    return options;
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    TableTrace table = TableTrace.open(source, new Parser(readHeader(source), source.options()), 1);
    return new BlockTraceReader(table, range, table.shape().choicesPerToken());
  }

  private static Header readHeader(TraceSource source) {
    try (LineFile file = LineFile.open(source.path())) {
      String line =
          file.read()
              .orElseThrow(
                  () ->
                      new TraceFormatException(
                          "Cannot read routes from %s: it has no header".formatted(source.path())));
      String place = "%s, line %d".formatted(source.path(), file.number());
      char separator = source.options().find(SEPARATOR).orElse(Separator.COMMA).character;
      String bare = line.startsWith("\ufeff") ? line.substring(1) : line;
      return new Header(place, separator, split(bare, separator, place));
    }
  }

  /** Splits a line into cells; a cell in double quotes may hold separators and doubled quotes. */
  static List<String> split(String line, char separator, String place) {
    List<String> cells = new ArrayList<>();
    StringBuilder cell = new StringBuilder();
    int at = 0;
    while (true) {
      cell.setLength(0);
      if (at < line.length() && line.charAt(at) == '"') {
        at++;
        while (true) {
          int quote = line.indexOf('"', at);
          if (quote < 0) {
            throw new TraceFormatException(
                "Invalid cell %d in %s: its quote is not closed on the line"
                    .formatted(cells.size() + 1, place));
          }

          cell.append(line, at, quote);
          at = quote + 1;
          if (at == line.length() || line.charAt(at) != '"') {
            break;
          }

          cell.append('"');
          at++;
        }

        if (at < line.length() && line.charAt(at) != separator) {
          throw new TraceFormatException(
              "Invalid cell %d in %s: text behind its quote".formatted(cells.size() + 1, place));
        }
      } else {
        int end = line.indexOf(separator, at);
        end = end < 0 ? line.length() : end;
        cell.append(line, at, end);
        at = end;
      }

      cells.add(cell.toString());
      if (at == line.length()) {
        return cells;
      }

      at++;
    }
  }

  private record Header(String place, char separator, List<String> names) {
    /** Columns {@code [layer][rank]} of an option; empty if it is not given. */
    List<List<Integer>> columns(
        FormatOptions options, FormatOption<String> option, String otherwise) {
      Optional<String> given = options.find(option);
      if (given.isEmpty() && otherwise.isEmpty()) {
        return List.of();
      }

      String pattern = given.orElse(otherwise);
      List<List<Integer>> columns = new ArrayList<>();
      for (int layer = 0; layer < ModelShape.MAX_EXPERTS; layer++) {
        List<Integer> ranks = new ArrayList<>();
        for (int rank = 0; rank < ModelShape.MAX_EXPERTS; rank++) {
          String name = pattern.replace("{layer}", "" + layer).replace("{rank}", "" + rank);
          int column = names.indexOf(name);
          if (column >= 0) {
            ranks.add(column);
          }

          if (column < 0 || !pattern.contains("{rank}")) {
            break;
          }
        }

        if (!ranks.isEmpty()) {
          columns.add(ranks);
        }

        if (ranks.isEmpty() || !pattern.contains("{layer}")) {
          break;
        }
      }

      if (columns.isEmpty()) {
        throw missing(option, pattern);
      }

      return columns;
    }

    /** The column of an option, or {@link TableRow#ABSENT}. */
    int column(FormatOptions options, FormatOption<String> option) {
      Optional<String> name = options.find(option);
      if (name.isPresent() && !names.contains(name.get())) {
        throw missing(option, name.get());
      }

      return name.map(names::indexOf).orElse(TableRow.ABSENT);
    }

    private TraceFormatException missing(FormatOption<String> option, String name) {
      String all = names.toString();
      return new TraceFormatException(
          "Missing column %s (%s) in %s: it has %s"
              .formatted(
                  name,
                  option.key(),
                  place,
                  all.length() > 200 ? all.substring(0, 197) + "..." : all));
    }
  }

  private static final class Parser implements TableRow.Parser {
    private final Header header;
    private final List<List<Integer>> experts;
    private final List<List<Integer>> weights;
    private final int sequence;
    private final int position;
    private final int phase;
    private final int layer;

    Parser(Header header, FormatOptions options) {
      this.header = header;
      this.experts = header.columns(options, TableOptions.EXPERTS, "experts");
      this.weights = header.columns(options, TableOptions.WEIGHTS, "");
      this.sequence = header.column(options, TableOptions.SEQUENCE);
      this.position = header.column(options, TableOptions.POSITION);
      this.phase = header.column(options, TableOptions.PHASE);
      this.layer = header.column(options, TableOptions.LAYER);
      if (layer != TableRow.ABSENT && experts.size() > 1) {
        throw new TraceFormatException(
            "Cannot use layer-column with {layer} in experts-column: %s".formatted(header.place()));
      }
    }

    @Override
    public TableRow parse(String line, String place) {
      List<String> cells = split(line, header.separator(), place);
      if (cells.size() != header.names().size()) {
        throw new TraceFormatException(
            "Invalid %s: %d cells, its header has %d"
                .formatted(place, cells.size(), header.names().size()));
      }

      String[][] ids = texts(cells, experts);
      long[][] numbers = new long[ids.length][];
      for (int i = 0; i < ids.length; i++) {
        numbers[i] = new long[ids[i].length];
        for (int rank = 0; rank < numbers[i].length; rank++) {
          numbers[i][rank] = TableOptions.number(ids[i][rank], "expert id", place);
        }
      }

      return new TableRow(
          layer == TableRow.ABSENT ? TableRow.ALL : whole(cells, layer, place),
          numbers,
          weights.isEmpty() ? new float[0][] : floats(texts(cells, weights), place),
          whole(cells, sequence, place),
          whole(cells, position, place),
          phase == TableRow.ABSENT
              ? TableRow.ABSENT
              : TableOptions.phase(cells.get(phase), header.names().get(phase), place));
    }

    private int whole(List<String> cells, int column, String place) {
      return column == TableRow.ABSENT
          ? TableRow.ABSENT
          : TableOptions.number(cells.get(column), header.names().get(column), place);
    }

    private static float[][] floats(String[][] texts, String place) {
      float[][] floats = new float[texts.length][];
      for (int i = 0; i < texts.length; i++) {
        floats[i] = new float[texts[i].length];
        for (int rank = 0; rank < floats[i].length; rank++) {
          try {
            floats[i][rank] = Float.parseFloat(texts[i][rank]);
          } catch (NumberFormatException e) {
            throw new TraceFormatException(
                "Invalid weight in %s: '%s', expected a number".formatted(place, texts[i][rank]),
                e);
          }
        }
      }

      return floats;
    }

    /** The texts of cells, {@code [layer][rank]}. */
    private static String[][] texts(List<String> cells, List<List<Integer>> columns) {
      if (columns.size() == 1 && columns.get(0).size() == 1) {
        String[] layers = cells.get(columns.get(0).get(0)).strip().split("\\s*;\\s*", -1);
        String[][] texts = new String[layers.length][];
        for (int i = 0; i < layers.length; i++) {
          texts[i] = layers[i].split("\\s+", -1);
        }

        return texts;
      }

      String[][] texts = new String[columns.size()][];
      for (int i = 0; i < texts.length; i++) {
        List<Integer> ranks = columns.get(i);
        if (ranks.size() == 1) {
          texts[i] = cells.get(ranks.get(0)).strip().split("\\s+", -1);
        } else {
          texts[i] = new String[ranks.size()];
          for (int rank = 0; rank < texts[i].length; rank++) {
            texts[i][rank] = cells.get(ranks.get(rank));
          }
        }
      }

      return texts;
    }
  }
}
