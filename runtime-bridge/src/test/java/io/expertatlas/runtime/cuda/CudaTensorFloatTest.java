package io.expertatlas.runtime.cuda;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.runtime.matrix.MatrixContract;
import io.expertatlas.runtime.matrix.MatrixDevice;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** A GPU in floats whose products take factors of TF32. Skipped where there is none. */
class CudaTensorFloatTest extends MatrixContract {
  private static CudaMatrixDevice shared;

  @Override
  protected MatrixDevice open() {
    return shared;
  }

  @Override
  protected void close(MatrixDevice opened) {
    // the last test's end closes it
  }

  @Override
  protected double productTolerance() {
    return 2e-3;
  }

  @BeforeAll
  static void openOne() {
    assumeTrue(CudaDevice.whyNone().isEmpty(), () -> "skipped: " + CudaDevice.whyNone());
    shared = new CudaMatrixDevice(0, 2L << 30, true);
  }

  @AfterAll
  static void closeIt() {
    if (shared != null) {
      shared.close();
    }
  }
}
