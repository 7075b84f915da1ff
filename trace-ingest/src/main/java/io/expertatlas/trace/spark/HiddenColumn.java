package io.expertatlas.trace.spark;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import java.util.Optional;
import org.apache.spark.sql.connector.catalog.MetadataColumn;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * A column that is not there unless it is named.
 *
 * @param metadataInJSON what else is known of it, as Spark wants it
 */
record HiddenColumn(String name, DataType dataType, String comment, String metadataInJSON)
    implements MetadataColumn {
  private static final String NOTHING = "{}";

  @Override
  public boolean isNullable() {
    return false;
  }

  /**
   * The hidden columns of a table that is read with some options. Asked for whenever Spark analyzes
   * a query: what holds no router states is not opened.
   */
  static HiddenColumn[] of(CaseInsensitiveStringMap options) {
    String input = NOTHING;
    String scores = NOTHING;
    try {
      SparkTraceReadConf conf = new SparkTraceReadConf(options);
      Optional<TraceSource> source = TraceInput.local(conf.path()).map(conf::source);
      if (source.isPresent() && RouterStatesFormat.fits(source.get())) {
        try (RouterStatesReader reader = RouterStatesFormat.openStates(source.get())) {
          LayerSelection layers = conf.layers(reader.shape());
          RouterFacts facts = RouterFacts.of(conf.path(), reader);
          input = facts.inputMetadata(layers);
          scores = facts.scoresMetadata(reader.shape(), layers);
        }
      }
    } catch (TraceFormatException | IllegalArgumentException e) {
      // no metadata: the scan that wants such a column, or the write, says why in its own words
    }

    DataType floats = DataTypes.createArrayType(DataTypes.FloatType, false);
    return new HiddenColumn[] {
      new HiddenColumn(
          TraceSchema.TOKEN,
          DataTypes.LongType,
          "index of the token in the whole trace, from 0",
          NOTHING),
      new HiddenColumn(
          TraceSchema.ROUTER_INPUT,
          floats,
          "inputs of the routers, layer * hidden-size + value",
          input),
      new HiddenColumn(
          TraceSchema.ROUTER_SCORES,
          floats,
          "what the routers gave the experts, layer * experts + expert",
          scores)
    };
  }
}
