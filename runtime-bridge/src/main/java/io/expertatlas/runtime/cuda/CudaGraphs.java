package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;

/** Operations that are captured once as a CUDA graph and repeated as one. */
final class CudaGraphs {
  private final CudaDevice device;
  private final CUstream stream;
  private final List<CUgraphExec> graphs = new ArrayList<>();
  private boolean repeating; // the operations of a graph, run or captured
  private boolean capturing;

  CudaGraphs(CudaDevice device, CUstream stream) {
    this.device = device;
    this.stream = stream;
  }

  boolean isRepeating() {
    return repeating;
  }

  boolean isCapturing() {
    return capturing;
  }

  boolean isEmpty() {
    return graphs.isEmpty();
  }

  Runnable repeatable(Runnable operations) {
    repeating = true;
    try {
      operations.run();
      return capture(operations);
    } finally {
      repeating = false;
    }
  }

  private Runnable capture(Runnable operations) {
    device.use();
    check(JCudaDriver.cuStreamSynchronize(stream), "waiting for " + device.name());
    CUgraph graph = new CUgraph();
    check(
        JCudaDriver.cuStreamBeginCapture(
            stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "cuStreamBeginCapture");
    capturing = true;
    try {
      operations.run();
    } finally {
      capturing = false;
      check(JCudaDriver.cuStreamEndCapture(stream, graph), "cuStreamEndCapture");
    }

    CUgraphExec executable = new CUgraphExec();
    check(JCudaDriver.cuGraphInstantiate(executable, graph, 0), "cuGraphInstantiate");
    JCudaDriver.cuGraphDestroy(graph);
    graphs.add(executable);
    return () -> {
      device.use();
      device.mark("graph");
      check(JCudaDriver.cuGraphLaunch(executable, stream), "cuGraphLaunch");
      device.mark("");
    };
  }

  void destroy() {
    graphs.forEach(JCudaDriver::cuGraphExecDestroy);
  }
}
