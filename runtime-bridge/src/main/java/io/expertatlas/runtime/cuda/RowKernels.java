package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.Tensor;

/** Kernels of {@code rows.cu}: what is done to rows and elements, norms among it. */
final class RowKernels {
  private final Kernels kernels;

  RowKernels(Kernels kernels) {
    this.kernels = kernels;
  }

  void embed(Tensor ids, Tensor table, float scale, Tensor out) {
    CudaTensor from = (CudaTensor) table;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("embed_" + from.letter() + to.letter(), to.rows(), 256)
        .with((CudaTensor) ids)
        .with(from)
        .with(scale)
        .with(to)
        .with(to.columns())
        .run();
  }

  void addRows(Tensor table, Tensor index, Tensor out) {
    CudaTensor from = (CudaTensor) table;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("add_rows_" + from.letter() + to.letter(), to.rows(), 256)
        .with(from)
        .with((CudaTensor) index)
        .with(to)
        .with(to.columns())
        .run();
  }

  void gatherRows(Tensor in, Tensor index, Tensor out) {
    if (in.type() == out.type()) {
      gather((CudaTensor) in, (CudaTensor) index, (CudaTensor) out, ((CudaTensor) out).rows());
    } else {
      embed(index, in, 1, out);
    }
  }

  /** The first {@code count} rows of a gather. */
  void gather(CudaTensor in, CudaTensor index, CudaTensor out, int count) {
    Shapes.sameType("gatherRows", in, out);
    int unit = unit(in);
    kernels
        .on("gather_" + unit, count, 256)
        .with(in)
        .with(index)
        .with(out)
        .with(out.columns() * out.type().bytes() / unit)
        .run();
  }

  /** The largest unit of 16, 4 or 2 bytes that rows are whole multiples of. */
  static int unit(CudaTensor tensor) {
    int bytes = tensor.columns() * tensor.type().bytes();
    return bytes % 16 == 0 && tensor.address() % 16 == 0 ? 16 : bytes % 4 == 0 ? 4 : 2;
  }

  void scatterAdd(Tensor in, Tensor index, Tensor out) {
    CudaTensor from = (CudaTensor) in;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("scatter_add_" + from.letter() + to.letter(), (to.columns() + 255) / 256, 256)
        .with(from)
        .with((CudaTensor) index)
        .with(to)
        .with(from.rows())
        .with(to.columns())
        .run();
  }

  void add(Tensor x, Tensor out) {
    Shapes.same("add", x, out);
    addValues((CudaTensor) x, (CudaTensor) out, 0);
  }

  void addBias(Tensor bias, Tensor out) {
    addValues((CudaTensor) bias, (CudaTensor) out, ((CudaTensor) out).columns());
  }

  private void addValues(CudaTensor x, CudaTensor out, int period) {
    kernels
        .on("add_" + x.letter() + out.letter(), (out.elements() + 255) / 256, 256)
        .with(x)
        .with(out)
        .with(out.elements())
        .with(period)
        .run();
  }

  void relu(Tensor x) {
    CudaTensor tensor = (CudaTensor) x;
    kernels
        .on("relu_" + tensor.letter(), (tensor.elements() + 255) / 256, 256)
        .with(tensor)
        .with(tensor.elements())
        .run();
  }

  void rmsNorm(Tensor x, Tensor weight, double epsilon, Tensor out) {
    CudaTensor from = (CudaTensor) x;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("rms_norm_" + from.letter() + to.letter(), to.rows(), 512)
        .with(from)
        .with((CudaTensor) weight)
        .with((float) epsilon)
        .with(to)
        .with(to.columns())
        .run();
  }

  void layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon, Tensor out) {
    CudaTensor from = (CudaTensor) x;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("layer_norm_" + from.letter() + to.letter(), to.rows(), 512)
        .with(from)
        .with((CudaTensor) weight)
        .with((CudaTensor) bias)
        .with((float) epsilon)
        .with(to)
        .with(to.columns())
        .run();
  }
}
