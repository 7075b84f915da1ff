package io.expertatlas.runtime.cuda;

/**
 * Sums over the rows of a matrix, a warp for each column; of many rows in parts side by side, whose
 * sums are then added up.
 */
final class ColumnSums {
  private static final int COLUMNS_OF_BLOCK = 32;
  private static final int THREADS = 32 * COLUMNS_OF_BLOCK;
  private static final int ROWS_OF_PART = 1024; // of many rows
  private static final int MOST_PARTS = 16;

  private final CudaMatrixDevice device;
  private final int columns;
  private final int parts;

  /** Sums over the rows of a matrix. */
  ColumnSums(CudaMatrix matrix) {
    this.device = matrix.device();
    this.columns = matrix.columns();
    this.parts = Math.max(1, Math.min(MOST_PARTS, matrix.rows() / ROWS_OF_PART));
  }

  /** Blocks that the columns are dealt to. */
  int blocks() {
    return (columns + COLUMNS_OF_BLOCK - 1) / COLUMNS_OF_BLOCK;
  }

  /** A kernel that passes over all rows. */
  Kernels.Launch on(String kernel) {
    return device.on(kernel, blocks(), parts, THREADS);
  }

  /** Where it adds sums that are for a row: there, or in room for those of parts. */
  CudaMatrix room(CudaMatrix row) {
    return parts == 1 ? row : device.make(parts, columns).blank();
  }

  /** Adds what it added there to the row. */
  void addUp(CudaMatrix room, CudaMatrix row) {
    if (room != row) {
      add(room, row);
    }
  }

  /** Adds the sum of a matrix's rows to a row; both have numbers. */
  static void add(CudaMatrix matrix, CudaMatrix row) {
    ColumnSums sums = new ColumnSums(matrix);
    CudaMatrix room = sums.room(row);
    room.adding(sums.on("train_add_rows_of").with(matrix.address()))
        .with(matrix.rows())
        .with(matrix.columns())
        .run();
    sums.addUp(room, row);
  }
}
