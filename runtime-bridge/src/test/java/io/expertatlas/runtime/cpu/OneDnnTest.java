package io.expertatlas.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.DType;
import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.Arrays;
import org.bytedeco.dnnl.global.dnnl;
import org.junit.jupiter.api.Test;

class OneDnnTest {
  @Test
  void processorsWithoutBf16ProductsAreNamed() {
    String missing = "the processor multiplies no bf16 numbers, it needs AVX512_BF16 or AMX_BF16";

    assertThat(OneDnn.missing(dnnl.dnnl_cpu_isa_sse41)).isEqualTo(missing);
    assertThat(OneDnn.missing(dnnl.dnnl_cpu_isa_avx2)).isEqualTo(missing);
    assertThat(OneDnn.missing(dnnl.dnnl_cpu_isa_avx2_vnni_2)).isEqualTo(missing);
    assertThat(OneDnn.missing(dnnl.dnnl_cpu_isa_avx512_core_vnni)).isEqualTo(missing);
    assertThat(OneDnn.missing(dnnl.dnnl_cpu_isa_avx512_core_bf16)).isEmpty();
    assertThat(OneDnn.missing(dnnl.dnnl_cpu_isa_avx512_core_amx)).isEmpty();
    assertThat(OneDnn.missing(dnnl.dnnl_cpu_isa_avx10_1_512)).isEmpty();
  }

  @Test
  void aClassPathWithoutOneDnnIsSaidToLackIt() throws Exception {
    URL[] others =
        Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
            .filter(entry -> !Path.of(entry).getFileName().toString().startsWith("dnnl-"))
            .map(OneDnnTest::url)
            .toArray(URL[]::new);
    try (URLClassLoader loader = new URLClassLoader(others, ClassLoader.getPlatformClassLoader())) {
      Object why =
          loader.loadClass(CpuDevice.class.getName()).getMethod("whyNoBfloat16").invoke(null);

      assertThat(why.toString()).startsWith("oneDNN does not load (").contains("dnnl");
    }
  }

  private static URL url(String entry) {
    try {
      return Path.of(entry).toUri().toURL();
    } catch (MalformedURLException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aDeviceHoldsWeightsInF32OrBf16() {
    assertThatThrownBy(() -> new CpuDevice(0, 1, DType.F16))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid CPU device: rank 0, 1 threads, weights of F16");
  }
}
