package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Tensor;
import java.util.Arrays;

/** One rank: its device, and the tokens of the step that are there now. */
final class Rank {
  private final int number;
  private final Device device;
  private final Buffer ids;
  private final Buffer slots;
  private final Buffer positions;
  private final Buffer visible;
  private final Buffer runStarts;
  private final Buffer hidden; // F32 [T, H], the residual stream
  private int[] tokens = {};
  private Batch batch;
  private int moves;

  Rank(int number, Device device, int hiddenSize, int rows) {
    this.number = number;
    this.device = device;
    this.ids = new Buffer(device, "ids", DType.I32, rows);
    this.slots = new Buffer(device, "slots", DType.I32, rows);
    this.positions = new Buffer(device, "positions", DType.I32, rows);
    this.visible = new Buffer(device, "visible", DType.I32, rows);
    this.runStarts = new Buffer(device, "run starts", DType.I32, rows + 1);
    this.hidden = new Buffer(device, "hidden states", DType.F32, rows, hiddenSize);
  }

  Buffer activations(String name, long... shape) {
    return new Buffer(device, name, device.activationType(), shape);
  }

  int number() {
    return number;
  }

  Device device() {
    return device;
  }

  /** The tokens of the step that are here, ascending. */
  int[] tokens() {
    return tokens;
  }

  int rows() {
    return tokens.length;
  }

  Batch batch() {
    return batch;
  }

  /** How often other tokens came here: tells whether something derived from them is stale. */
  int moves() {
    return moves;
  }

  Tensor ids() {
    return ids.rows(tokens.length);
  }

  /** The residual stream, F32 {@code [T, H]}. */
  Tensor hidden() {
    return hidden.rows(tokens.length);
  }

  Tensor view(Buffer buffer) {
    return buffer.rows(tokens.length);
  }

  /** These tokens are here from now on; their hidden states are written by the caller. */
  void hold(Step step, int[] here, ExecutionPlan plan) {
    moves++;
    tokens = here.clone();
    int count = tokens.length;
    int[] slot = new int[count];
    int[] position = new int[count];
    int[] sees = new int[count];
    int[] starts = new int[count + 1];
    int runs = 0;
    int longest = 0;
    int context = 0;
    for (int t = 0; t < count; t++) {
      int token = tokens[t];
      slot[t] = Slots.slot(plan, step.sequence(token));
      position[t] = step.position(token);
      sees[t] = step.visible(token);
      context = Math.max(context, sees[t]);
      if (t == 0 || step.sequence(tokens[t - 1]) != step.sequence(token)) {
        starts[runs++] = t;
      }

      longest = Math.max(longest, t + 1 - starts[runs - 1]);
    }

    starts[runs] = count;
    device.write(slots.rows(count), slot);
    device.write(positions.rows(count), position);
    device.write(visible.rows(count), sees);
    device.write(runStarts.rows(runs + 1), Arrays.copyOf(starts, runs + 1));
    batch =
        new Batch(
            count,
            runs,
            longest,
            context,
            slots.rows(count),
            positions.rows(count),
            visible.rows(count),
            runStarts.rows(runs + 1));
  }

  /** Writes the ids of the tokens that are here. */
  void writeIds(Step step) {
    device.write(ids(), Arrays.stream(tokens).map(step::id).toArray());
  }
}
