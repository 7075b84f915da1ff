package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Tensor;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The CPU of a rank's host, computing experts where they lie: rows come from the device and results
 * go back through memory of the host that the device's operations reach.
 */
final class HostExperts {
  private final Device device;
  private final int rows;
  private final long innerWidth;
  private final Tensor input; // F32 [T, H], of the host
  private final Tensor results; // F32 [T * k, H], of the host
  private final Tensor seenInput; // the same for the device
  private final Tensor seenResults;
  private final Tensor numbers; // I32 [T * k]: 0, 1, ...
  private Work work; // once a CPU computes

  /** What the CPU works on. */
  private static final class Work {
    final Device cpu;
    final Tensor x; // F32 [T, H]
    final Tensor out; // F32 [T * k, H]
    final Tensor order; // I32 [T]
    final Tensor place; // I32 [1, 1]: rows are named, not choices
    final Tensor offsets; // I32 [2]
    Tensor inner; // F32 [rows, inner width], grows

    Work(Device cpu, Tensor input, Tensor results) {
      this.cpu = cpu;
      x = cpu.mapped(input);
      out = cpu.mapped(results);
      order = cpu.allocate("rows of an expert on the CPU", DType.I32, input.size(0));
      place = cpu.allocate("place of a row", DType.I32, 1, 1);
      offsets = cpu.allocate("offsets of an expert on the CPU", DType.I32, 2);
    }

    Tensor inner(int count, long width, int most) {
      if (inner == null || inner.size(0) < count) {
        long more = inner == null ? count : Math.min(most, Math.max(count, 2 * inner.size(0)));
        inner = cpu.allocate("inner states on the CPU", DType.F32, more, width);
      }

      return cpu.rows(inner, 0, count);
    }
  }

  /**
   * Plans the memory.
   *
   * @param rows T
   * @param innerWidth numbers of scratch of an expert's row
   */
  HostExperts(Device device, int rows, int k, int hidden, long innerWidth) {
    this.device = device;
    this.rows = rows;
    this.innerWidth = innerWidth;
    this.input = device.allocateOnHost("rows of CPU experts", DType.F32, rows, hidden);
    this.results =
        device.allocateOnHost("results of CPU experts", DType.F32, (long) rows * k, hidden);
    this.seenInput = device.mapped(input);
    this.seenResults = device.mapped(results);
    this.numbers = device.allocate("numbers of CPU rows", DType.I32, (long) rows * k);
    device.write(numbers, IntStream.range(0, rows * k).toArray());
  }

  /** From now on this computes. */
  void computeOn(Device cpu) {
    if (work == null || work.cpu != cpu) {
      work = new Work(cpu, input, results);
    }
  }

  Device cpu() {
    return work.cpu;
  }

  /** Rows that there is room for. */
  int rows() {
    return rows;
  }

  /** Begins to bring rows, {@code [T, H]}; they are here once the device was waited for. */
  void take(Tensor from) {
    int count = (int) from.size(0);
    device.gatherRows(from, device.rows(numbers, 0, count), device.rows(seenInput, 0, count));
  }

  /**
   * Computes, the results of one expert behind those of the one before.
   *
   * @param experts one at a time
   * @param rowsOf {@code [expert]}: its rows among those taken
   */
  void compute(List<ExpertWeights> experts, List<int[]> rowsOf) {
    Device cpu = work.cpu;
    cpu.mark("cpu experts");
    int at = 0;
    for (int i = 0; i < experts.size(); i++) {
      int count = rowsOf.get(i).length;
      cpu.write(work.order, rowsOf.get(i));
      cpu.write(work.offsets, 0, count);
      cpu.experts(
          experts.get(i),
          new ExpertGroups(cpu.rows(work.order, 0, count), work.place, work.offsets),
          work.x,
          work.inner(count, innerWidth, rows),
          cpu.rows(work.out, at, count));
      at += count;
    }

    cpu.mark("");
  }

  /** Gives the results to the device, as many as there are rows, in the order of operations. */
  void give(Tensor into) {
    int count = (int) into.size(0);
    device.gatherRows(device.rows(seenResults, 0, count), device.rows(numbers, 0, count), into);
  }

  /** Fills the rows with numbers, to be computed without a device. */
  void fill() {
    float[] some = new float[(int) work.x.width()];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < some.length; i++) {
        some[i] = (float) Math.sin(i + row);
      }

      work.cpu.write(work.cpu.rows(work.x, row, 1), some);
    }
  }
}
