package io.expertatlas.runtime.cpu;

import static org.bytedeco.dnnl.global.dnnl.dnnl_cpu;
import static org.bytedeco.dnnl.global.dnnl.dnnl_cpu_isa_avx512_core_bf16;
import static org.bytedeco.dnnl.global.dnnl.dnnl_engine_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_get_effective_cpu_isa;

import com.sun.jna.Function;
import com.sun.jna.NativeLibrary;
import java.io.File;
import java.io.IOException;
import org.bytedeco.dnnl.dnnl_engine;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.javacpp.Loader;

/**
 * oneDNN on this processor, loaded when it is first asked for.
 *
 * <p>oneDNN is built with OpenMP, which would start threads of its own. It is told to use only the
 * thread that calls; {@link ProductThreads} deals work to several.
 */
final class OneDnn {
  private final dnnl_engine engine;
  private final Function setThreads;

  /** What was found when it was first asked for: the library, or why there is none. */
  private record Found(OneDnn library, String whyNone) {
    static final Found FOUND = load();
  }

  private OneDnn(dnnl_engine engine, Function setThreads) {
    this.engine = engine;
    this.setThreads = setThreads;
  }

  /** Why it cannot multiply bf16 matrices here; empty if it can. */
  static String whyNone() {
    return Found.FOUND.whyNone;
  }

  /** The library, of which {@link #whyNone} says that it is there. */
  static OneDnn get() {
    return Found.FOUND.library;
  }

  private static Found load() {
    CpuMemory.configure();
    try {
      Loader.load(dnnl.class);
      String missing = missing(dnnl_get_effective_cpu_isa());
      if (!missing.isEmpty()) {
        return new Found(null, missing);
      }

      File file =
          Loader.cacheResource(
              dnnl.class, "/org/bytedeco/dnnl/%s/libdnnl.so.3".formatted(Loader.getPlatform()));
      // looked up through oneDNN, so that it is of the OpenMP that oneDNN runs on
      Function setThreads =
          NativeLibrary.getInstance(file.getPath()).getFunction("omp_set_num_threads");
      dnnl_engine engine = new dnnl_engine();
      check("create an engine", dnnl_engine_create(engine, dnnl_cpu, 0));
      return new Found(new OneDnn(engine, setThreads), "");
    } catch (LinkageError | IOException | IllegalStateException e) {
      return new Found(null, "oneDNN does not load (%s)".formatted(e));
    }
  }

  /**
   * What a processor lacks.
   *
   * @param isa oneDNN's bits of what it has
   */
  static String missing(int isa) {
    int needed = dnnl_cpu_isa_avx512_core_bf16;
    return (isa & needed) == needed
        ? ""
        : "the processor multiplies no bf16 numbers, it needs AVX512_BF16 or AMX_BF16";
  }

  dnnl_engine engine() {
    return engine;
  }

  /** From now on oneDNN uses no other thread when this one calls it. */
  void useOnlyThisThread() {
    setThreads.invokeVoid(new Object[] {1});
  }

  /** Refuses a status other than success. */
  static void check(String what, int status) {
    if (status != 0) {
      throw new IllegalStateException("oneDNN cannot %s: status %d".formatted(what, status));
    }
  }
}
