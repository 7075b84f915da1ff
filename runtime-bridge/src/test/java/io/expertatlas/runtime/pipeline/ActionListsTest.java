package io.expertatlas.runtime.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class ActionListsTest {
  @ParameterizedTest
  @CsvSource({
    "GPIPE, 4, 13 16 16 12, 5e1b50365d187375735eea9f9deece554209d7cc0471d0df14e72fdd0d9766c3",
    "GPIPE_OFFLOAD, 8, 29 32 32 28,"
        + " 138151e19ffc45cf711844a6027a2662dc56eef3570da13cf160710b8c55c06a",
    "MOBIUS, 8, 29 32 32 28, 5e690a1ded15e440abd1d1453bd6e1a1b9bd56ab73bdd08ef7b5479d91d629e7",
    "APTMOE, 8, 29 32 32 28, 5e690a1ded15e440abd1d1453bd6e1a1b9bd56ab73bdd08ef7b5479d91d629e7"
  })
  void listsOfFourDevicesAreThoseOfTheArtifact(
      PipelineKind kind, int stages, String lengths, String sha256) throws Exception {
    StagePlan plan = StagePlan.equal(kind, 4, stages, stages);
    StringBuilder lines = new StringBuilder();
    List<String> found = new ArrayList<>();
    for (int device = 0; device < 4; device++) {
      List<Action> actions = ActionLists.of(plan, device, 4, true);
      found.add(Integer.toString(actions.size()));
      for (Action action : actions) {
        lines.append(device).append('|').append(action).append('\n');
      }
    }

    byte[] digest =
        MessageDigest.getInstance("SHA-256")
            .digest(lines.toString().getBytes(StandardCharsets.US_ASCII));
    assertThat(String.join(" ", found)).isEqualTo(lengths);
    assertThat(lines).startsWith("0|fetch_data -1 -1 -1\n");
    assertThat(HexFormat.of().formatHex(digest)).isEqualTo(sha256);
  }

  static Stream<Arguments> shapes() {
    List<Arguments> shapes = new ArrayList<>();
    for (PipelineKind kind : PipelineKind.values()) {
      for (int devices : new int[] {1, 2, 3, 4, 8}) {
        for (int each : kind == PipelineKind.GPIPE ? new int[] {1} : new int[] {1, 2, 4}) {
          for (int chunks : new int[] {1, 2, 5, 8}) {
            shapes.add(Arguments.of(kind, devices, devices * each, chunks));
          }
        }
      }
    }

    return shapes.stream();
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void sendsAreReceivedInTheirOrderAndEachChunkIsComputedOnce(
      PipelineKind kind, int devices, int stages, int chunks) {
    StagePlan plan = StagePlan.equal(kind, devices, stages, stages);
    TreeMap<String, List<String>> sent = new TreeMap<>();
    TreeMap<String, List<String>> received = new TreeMap<>();
    TreeMap<String, Integer> computed = new TreeMap<>();
    for (int device = 0; device < devices; device++) {
      for (Action action : ActionLists.of(plan, device, chunks, true)) {
        if (action.isSend()) {
          String pair = device + ">" + plan.owner(action.peer()) + (action.peer() > action.stage());
          sent.computeIfAbsent(pair, key -> new ArrayList<>())
              .add(action.stage() + ":" + action.chunk());
        } else if (action.stage() >= 0) {
          computed.merge(
              action.isForward() + " " + action.stage() + " " + action.chunk(), 1, Integer::sum);
          if (action.peer() >= 0) {
            String pair = plan.owner(action.peer()) + ">" + device + action.isForward();
            received
                .computeIfAbsent(pair, key -> new ArrayList<>())
                .add(action.peer() + ":" + action.chunk());
          }
        }
      }
    }

    assertThat(sent).isEqualTo(received);
    assertThat(computed).hasSize(2 * stages * chunks).allSatisfy((key, n) -> assertThat(n).isOne());
  }

  @Test
  void withoutBackwardTheListEndsWithTheLastForward() {
    StagePlan plan = StagePlan.equal(PipelineKind.MOBIUS, 1, 2, 2);
    assertThat(ActionLists.of(plan, 0, 1, false))
        .map(Action::toString)
        .containsExactly(
            "fetch_data -1 -1 -1", "load_forward 0 -1 0", "send_tensor 0 1 0", "forward 1 0 0");
  }

  @Test
  void noMicroBatchIsRefused() {
    StagePlan plan = StagePlan.equal(PipelineKind.MOBIUS, 1, 2, 2);
    assertThatThrownBy(() -> ActionLists.of(plan, 0, 0, true))
        .hasMessage("Invalid number of micro-batches: 0, at least 1");
  }
}
