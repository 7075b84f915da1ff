package io.expertatlas.trace.job;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.TraceFormatException;
import org.apache.spark.SparkException;
import org.junit.jupiter.api.Test;

class SparkStageTest {
  @Test
  void whatATaskSaysIsFoundUnderWhatSparkWrapsAroundIt() {
    TraceFormatException task = new TraceFormatException("Invalid id 9 in a.npy");

    assertThat(SparkStage.unwrapped("Count", new SparkException("Job aborted", task)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage("Invalid id 9 in a.npy");
    assertThat(
            SparkStage.unwrapped(
                "Count", new SparkException("Lost task 0: " + task + "\n\tat some.Place", null)))
        .as("kept as text only")
        .isInstanceOf(TraceFormatException.class)
        .hasMessage("Invalid id 9 in a.npy");
  }

  @Test
  void otherFailuresNameTheStageAndTheReason() {
    IllegalStateException reason = new IllegalStateException("no room\nat all");

    assertThat(SparkStage.unwrapped("Count", new SparkException("Job aborted", reason)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("Cannot finish stage 'Count': no room");
    assertThat(SparkStage.unwrapped("Count", new SparkException("x", new Error())))
        .hasMessage("Cannot finish stage 'Count': Error");
    assertThat(SparkStage.unwrapped("Count", reason)).isSameAs(reason);
  }
}
