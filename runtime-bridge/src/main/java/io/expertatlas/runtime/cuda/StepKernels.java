package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Tensor;

/** Kernels of {@code sampling.cu} and what leads from a step to the next. */
final class StepKernels {
  private final CudaDevice device;
  private final Kernels kernels;

  StepKernels(CudaDevice device, Kernels kernels) {
    this.device = device;
    this.kernels = kernels;
  }

  void argmax(Tensor logits, Tensor ids) {
    CudaTensor from = (CudaTensor) logits;
    kernels
        .on("argmax", from.rows(), 1024)
        .with(from)
        .with(from.columns())
        .with((CudaTensor) ids)
        .run();
  }

  void sample(Tensor logits, float temperature, float topP, Tensor uniform, Tensor ids) {
    CudaTensor from = (CudaTensor) logits;
    kernels
        .on("sample", from.rows(), 1024)
        .with(from)
        .with(device.scratch("sampling weights", DType.F32, from.rows(), from.columns()))
        .with((CudaTensor) uniform)
        .with(temperature)
        .with(topP)
        .with(from.columns())
        .with((CudaTensor) ids)
        .run();
  }

  void keep(Tensor in, Tensor step, Tensor log) {
    CudaTensor from = (CudaTensor) in;
    Shapes.expect("keep", in.elements() == log.width() && in.type() == log.type(), in, step, log);
    kernels
        .on("append_4", 1, 256)
        .with(from)
        .with((CudaTensor) step)
        .with((CudaTensor) step)
        .with((CudaTensor) log)
        .with(0) // a cache of one slot
        .with(Math.toIntExact(from.bytes() / 4))
        .run();
  }

  void advance(Tensor ids, Tensor positions, Tensor visible, Tensor history, Tensor step) {
    int rows = Math.toIntExact(ids.elements());
    Shapes.expect(
        "advance",
        positions.elements() == rows && visible.elements() == rows && history.width() == rows,
        ids,
        positions,
        visible,
        history);
    kernels
        .on("advance", 1, 128)
        .with((CudaTensor) ids)
        .with((CudaTensor) positions)
        .with((CudaTensor) visible)
        .with((CudaTensor) history)
        .with((CudaTensor) step)
        .with(rows)
        .run();
  }
}
