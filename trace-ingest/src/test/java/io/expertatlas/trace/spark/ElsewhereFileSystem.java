package io.expertatlas.trace.spark;

import java.net.URI;
import org.apache.hadoop.fs.RawLocalFileSystem;

/** Local files under another scheme: what no code that knows local files only can read. */
public final class ElsewhereFileSystem extends RawLocalFileSystem {
  @Override
  public String getScheme() {
    return "elsewhere";
  }

  @Override
  public URI getUri() {
    return URI.create("elsewhere:///");
  }
}
