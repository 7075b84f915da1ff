package io.expertatlas.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.MatrixContract;
import io.expertatlas.runtime.matrix.MatrixDevice;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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

  @ParameterizedTest
  @CsvSource({
    "32,1", "32,7", "32,16", "32,33", "32,100", "32,128",
    "64,1", "64,7", "64,16", "64,33", "64,100", "64,128"
  })
  void fusedAttentionIsThatOfTheTwin(int headSize, int length) {
    for (int heads : new int[] {2, 4}) {
      assertThat(FusedAttention.fits(new Heads(heads, 2, headSize), length)).isTrue();
      attentionIsThatOfTheTwin(3, heads, 2, headSize, length, 1);
    }
  }

  @ParameterizedTest
  @CsvSource({"32,129", "16,128", "128,128"})
  void otherAttentionIsThatOfTheTwinToo(int headSize, int length) {
    assertThat(FusedAttention.fits(new Heads(4, 2, headSize), length)).isFalse();
    attentionIsThatOfTheTwin(3, 4, 2, headSize, length, 1);
  }
}
