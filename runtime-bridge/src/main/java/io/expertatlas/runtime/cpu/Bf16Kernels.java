package io.expertatlas.runtime.cpu;

import static io.expertatlas.runtime.cpu.OneDnn.check;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SCRATCHPAD;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;
import static org.bytedeco.dnnl.global.dnnl.DNNL_RUNTIME_DIM_VAL;
import static org.bytedeco.dnnl.global.dnnl.dnnl_bf16;
import static org.bytedeco.dnnl.global.dnnl.dnnl_data_type_undef;
import static org.bytedeco.dnnl.global.dnnl.dnnl_f32;
import static org.bytedeco.dnnl.global.dnnl.dnnl_matmul_primitive_desc_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_create_with_strides;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_get_size;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_set_data_handle;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_append_sum;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_set_post_ops;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_set_scratchpad_mode;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_desc_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_desc_query_md;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_execute;
import static org.bytedeco.dnnl.global.dnnl.dnnl_query_scratchpad_md;
import static org.bytedeco.dnnl.global.dnnl.dnnl_scratchpad_mode_user;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_default_flags;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_wait;

import java.util.HashMap;
import java.util.Map;
import org.bytedeco.dnnl.dnnl_exec_arg_t;
import org.bytedeco.dnnl.dnnl_memory;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_post_ops;
import org.bytedeco.dnnl.dnnl_primitive;
import org.bytedeco.dnnl.dnnl_primitive_attr;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.bytedeco.dnnl.dnnl_stream;
import org.bytedeco.javacpp.Pointer;

/**
 * oneDNN's compiled products, one for each shape, of any number of rows: for one thread at a time.
 * They live as long as the process, as their number is that of the shapes of its models.
 */
final class Bf16Kernels {
  private static final int MOST_ROW_COUNTS = 64;

  private final OneDnn library = OneDnn.get();
  private final dnnl_stream stream = new dnnl_stream();
  private final Map<Shape, Kernel> kernels = new HashMap<>();
  private final Place place = new Place();
  private Thread user;

  /**
   * A product.
   *
   * @param in length of a row of x and of the weights
   * @param count outputs
   * @param stride numbers from a row of out to the next
   * @param adds whether it is added to what is there
   */
  record Shape(int in, int count, int stride, boolean adds) {}

  Bf16Kernels() {
    check(
        "create a stream", dnnl_stream_create(stream, library.engine(), dnnl_stream_default_flags));
  }

  /**
   * Multiplies.
   *
   * @param x address of bf16 [rows, in]
   * @param weight address of bf16 [count, in]
   * @param out address of F32 [rows, count], rows {@code stride} apart
   */
  void run(Shape shape, long x, long weight, int rows, long out) {
    if (user != Thread.currentThread()) {
      library.useOnlyThisThread();
      user = Thread.currentThread();
    }

    kernels.computeIfAbsent(shape, Kernel::new).run(x, weight, rows, out);
  }

  private static dnnl_memory_desc matrix(int type, long rows, long columns, long... strides) {
    dnnl_memory_desc matrix = new dnnl_memory_desc();
    check(
        "describe a matrix",
        dnnl_memory_desc_create_with_strides(matrix, 2, new long[] {rows, columns}, type, strides));
    return matrix;
  }

  private dnnl_memory memory(dnnl_memory_desc matrix, long elements) {
    dnnl_memory memory = new dnnl_memory();
    check("use memory", dnnl_memory_create(memory, matrix, library.engine(), place.at(elements)));
    return memory;
  }

  /** The operands of so many rows. */
  private record Rows(dnnl_memory x, dnnl_memory out) {
    void free() {
      dnnl_memory_destroy(x);
      dnnl_memory_destroy(out);
    }
  }

  /** A compiled product. */
  private final class Kernel {
    private final Shape shape;
    private final dnnl_primitive primitive = new dnnl_primitive();
    private final dnnl_memory weights;
    private final Map<Integer, Rows> operands = new HashMap<>();
    private final dnnl_exec_arg_t arguments = new dnnl_exec_arg_t(4);
    private final dnnl_exec_arg_t x = argument(0, DNNL_ARG_SRC);
    private final dnnl_exec_arg_t out = argument(1, DNNL_ARG_DST);

    Kernel(Shape shape) {
      this.shape = shape;
      dnnl_memory_desc input = matrix(dnnl_bf16, DNNL_RUNTIME_DIM_VAL, shape.in, shape.in, 1);
      dnnl_memory_desc weight = matrix(dnnl_bf16, shape.in, shape.count, 1, shape.in);
      dnnl_memory_desc output =
          matrix(dnnl_f32, DNNL_RUNTIME_DIM_VAL, shape.count, shape.stride, 1);
      dnnl_primitive_attr attributes = attributes();
      dnnl_primitive_desc product = new dnnl_primitive_desc();
      check(
          "multiply bf16 matrices of " + shape,
          dnnl_matmul_primitive_desc_create(
              product, library.engine(), input, weight, null, output, attributes));
      check("compile a product", dnnl_primitive_create(primitive, product));
      dnnl_memory_desc scratch = dnnl_primitive_desc_query_md(product, dnnl_query_scratchpad_md, 0);
      weights = memory(weight, 0);
      argument(2, DNNL_ARG_WEIGHTS).memory(weights);
      argument(3, DNNL_ARG_SCRATCHPAD).memory(memory(scratch, scratch(scratch)));
      for (dnnl_memory_desc matrix : new dnnl_memory_desc[] {input, weight, output}) {
        dnnl_memory_desc_destroy(matrix);
      }

      dnnl_primitive_desc_destroy(product);
      dnnl_primitive_attr_destroy(attributes);
    }

    /** Scratch from us, as oneDNN's own would belong to the thread that compiled the product. */
    private dnnl_primitive_attr attributes() {
      dnnl_primitive_attr attributes = new dnnl_primitive_attr();
      check("create attributes", dnnl_primitive_attr_create(attributes));
      check(
          "take scratch",
          dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
      if (shape.adds) {
        dnnl_post_ops sum = new dnnl_post_ops();
        check("create a sum", dnnl_post_ops_create(sum));
        check("append a sum", dnnl_post_ops_append_sum(sum, 1, 0, dnnl_data_type_undef));
        check("add a product", dnnl_primitive_attr_set_post_ops(attributes, sum));
        dnnl_post_ops_destroy(sum);
      }

      return attributes;
    }

    private long scratch(dnnl_memory_desc scratch) {
      long alignment = 64;
      Pointer block = Pointer.malloc(dnnl_memory_desc_get_size(scratch) + alignment);
      if (block == null || block.isNull()) {
        throw new IllegalStateException("Cannot allocate scratch of products of " + shape);
      }

      return (block.address() + alignment - 1) / alignment * alignment;
    }

    private dnnl_exec_arg_t argument(int place, int kind) {
      dnnl_exec_arg_t argument = new dnnl_exec_arg_t(arguments).position(place);
      return argument.arg(kind);
    }

    void run(long input, long weight, int rows, long output) {
      if (operands.size() >= MOST_ROW_COUNTS && !operands.containsKey(rows)) {
        operands.values().forEach(Rows::free);
        operands.clear();
      }

      Rows operand = operands.computeIfAbsent(rows, this::rows);
      check("use x", dnnl_memory_set_data_handle(operand.x, place.at(input)));
      check("use weights", dnnl_memory_set_data_handle(weights, place.at(weight)));
      check("use out", dnnl_memory_set_data_handle(operand.out, place.at(output)));
      x.memory(operand.x);
      out.memory(operand.out);
      check("multiply", dnnl_primitive_execute(primitive, stream, 4, arguments));
      check("wait", dnnl_stream_wait(stream));
    }

    private Rows rows(int rows) {
      dnnl_memory_desc input = matrix(dnnl_bf16, rows, shape.in, shape.in, 1);
      dnnl_memory_desc output = matrix(dnnl_f32, rows, shape.count, shape.stride, 1);
      Rows memories = new Rows(memory(input, 0), memory(output, 0));
      dnnl_memory_desc_destroy(input);
      dnnl_memory_desc_destroy(output);
      return memories;
    }
  }
}
