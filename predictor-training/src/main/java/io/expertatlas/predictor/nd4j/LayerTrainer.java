package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.PredictedModel;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import java.util.zip.CRC32;

/**
 * Trains the heads of one layer, on the calling thread. The weights depend on the task alone: a
 * local thread, a Spark task and a resumed run give the same bits on one machine.
 *
 * <p>An epoch takes the rows in blocks, in an order of its own; as many blocks as fit make a pool,
 * whose rows are shuffled. Rows that all fit are one pool, which stays in memory.
 */
public final class LayerTrainer {
  private static final int BLOCK = 64; // neighbouring rows that stay together when pools are made
  private static final int EVALUATED = 1024; // rows of an evaluation batch

  private final LayerTask task;
  private final TrainerConfig config;
  private final LayerRows rows;
  private final PredictedModel model;
  private final Features features;
  private final RowPool pool;
  private final RowPool validation;
  private final Runnable epochDone;
  private int loaded = -1; // first row of the pool that is in memory, if it is the only one

  private LayerTrainer(LayerTask task, LayerRows rows, Runnable epochDone) {
    this.task = task;
    this.config = task.config();
    this.rows = rows;
    this.model = rows.states().model();
    this.features = new Features(task, model.hiddenSize(), model.shape());
    this.pool =
        new RowPool(rows.states(), task.heads(), Math.min(config.poolRows(), rows.train().length));
    this.validation = new RowPool(rows.states(), task.heads(), evaluated());
    this.epochDone = epochDone;
  }

  /**
   * Trains a layer; takes up an interrupted training if the task's checkpoint is there.
   *
   * @param epochDone is called after each epoch, on this thread
   */
  public static TrainedLayer train(LayerTask task, LayerRows rows, Runnable epochDone) {
    SingleThread.enter();
    return new LayerTrainer(task, rows, epochDone).run();
  }

  private int evaluated() {
    return Math.min(EVALUATED, rows.validation().length);
  }

  private TrainedLayer run() {
    int outputs = task.heads() * model.shape().experts();
    int batch = Math.max(1, Math.min(config.batch(), rows.train().length));
    try (Network network = new Network(config, features.width(), outputs, task.heads(), batch)) {
      network.begin(linearStart(outputs), downStart());
      Network.Batch evaluation = network.new Batch(Math.max(1, evaluated()), features.width());
      Checkpoint progress = resume(network);
      if (progress == null) {
        progress =
            new Checkpoint(0, 0, recall(evaluation), false, network.state(), network.weights());
      }

      while (!progress.ended() && progress.epoch() < config.epochs()) {
        progress = epoch(network, evaluation, progress);
        save(progress, network);
        epochDone.run();
      }

      return new TrainedLayer(
          task.layer(),
          network.heads(progress.best(), features),
          progress.bestEpoch(),
          progress.bestRecall());
    }
  }

  private Checkpoint resume(Network network) {
    if (task.checkpoint().isEmpty()) {
      return null;
    }

    float[][] weights = network.weights();
    Optional<Checkpoint> found =
        Checkpoint.find(
            Path.of(task.checkpoint()),
            fingerprint(),
            network.stateLengths(),
            Arrays.stream(weights).mapToInt(array -> array.length).toArray());
    found.ifPresent(checkpoint -> network.restore(checkpoint.state()));
    return found.orElse(null);
  }

  private void save(Checkpoint progress, Network network) {
    if (!task.checkpoint().isEmpty()) {
      progress.write(Path.of(task.checkpoint()), fingerprint());
    }
  }

  private Checkpoint epoch(Network network, Network.Batch evaluation, Checkpoint before) {
    int epoch = before.epoch();
    Network.Batch batch = network.train();
    int steps = steps(batch.rows);
    int step = epoch * steps;
    int[] order = order(epoch);
    int end = epoch * steps + steps;
    for (int from = 0; from < order.length && step < end; from += config.poolRows()) {
      int to = Math.min(order.length, from + config.poolRows());
      load(order, from, to);
      int[] shuffled = permutation(to - from, mix(config.seed(), task.layer(), epoch, from));
      for (int at = 0; at + batch.rows <= shuffled.length && step < end; at += batch.rows) {
        fill(batch, shuffled, at);
        network.step(rate(step, steps * config.epochs()), step);
        step++;
      }
    }

    double recall = recall(evaluation);
    boolean better = recall > before.bestRecall();
    int best = better ? epoch + 1 : before.bestEpoch();
    return new Checkpoint(
        epoch + 1,
        best,
        better ? recall : before.bestRecall(),
        epoch + 1 >= config.epochs() || epoch + 1 - best >= config.patience(),
        task.checkpoint().isEmpty() ? before.state() : network.state(),
        better ? network.weights() : before.best());
  }

  /** Steps of an epoch: whole batches of every pool. */
  private int steps(int batch) {
    int steps = 0;
    for (int from = 0; from < rows.train().length; from += config.poolRows()) {
      steps += Math.min(config.poolRows(), rows.train().length - from) / batch;
    }

    return steps;
  }

  private double rate(int step, int steps) {
    return config.cosine()
        ? config.learningRate() * 0.5 * (1 + Math.cos(Math.PI * step / steps))
        : config.learningRate();
  }

  /** The training rows; in blocks of neighbours, shuffled, if they are more than a pool. */
  private int[] order(int epoch) {
    int[] train = rows.train();
    if (train.length <= config.poolRows()) {
      return train;
    }

    int blocks = (train.length + BLOCK - 1) / BLOCK;
    int[] blockOrder = permutation(blocks, mix(config.seed(), task.layer(), epoch, -1));
    int[] ordered = new int[train.length];
    int at = 0;
    for (int block : blockOrder) {
      int from = block * BLOCK;
      int count = Math.min(BLOCK, train.length - from);
      System.arraycopy(train, from, ordered, at, count);
      at += count;
    }

    return ordered;
  }

  private void load(int[] order, int from, int to) {
    boolean whole = order.length <= config.poolRows();
    if (!whole || loaded != 0) {
      pool.load(order, from, to);
      loaded = whole ? 0 : -1;
    }
  }

  private void fill(Network.Batch batch, int[] shuffled, int at) {
    int width = task.heads() * model.shape().experts();
    for (int i = 0; i < batch.rows; i++) {
      int row = shuffled[at + i];
      features.put(pool, row, batch.features, i);
      System.arraycopy(pool.gates(), row * width, batch.target, i * width, width);
    }

    batch.features.push();
  }

  /** Recall at k on the validation rows: chosen experts among the k of the greatest scores. */
  private double recall(Network.Batch batch) {
    int[] judges = rows.validation();
    long hits = 0;
    long choices = 0;
    for (int from = 0; from < judges.length; from += batch.rows) {
      int to = Math.min(judges.length, from + batch.rows);
      if (judges.length > batch.rows || validation.rows() == 0) {
        validation.load(judges, from, to);
      }

      for (int row = 0; row < to - from; row++) {
        features.put(validation, row, batch.features, row);
      }

      batch.features.push();
      hits += hits(batch.forward(), to - from);
      choices += (long) (to - from) * task.heads() * model.shape().topK();
    }

    return choices == 0 ? 0 : (double) hits / choices;
  }

  private long hits(float[] scores, int count) {
    int experts = model.shape().experts();
    int topK = model.shape().topK();
    long hits = 0;
    for (int row = 0; row < count; row++) {
      for (int head = 0; head < task.heads(); head++) {
        int at = (row * task.heads() + head) * experts;
        for (int rank = 0; rank < topK; rank++) {
          int expert = validation.target(row, head, rank, topK);
          int before = 0;
          for (int other = 0; other < experts; other++) {
            float theirs = scores[at + other];
            float mine = scores[at + expert];
            before += theirs > mine || (theirs == mine && other < expert) ? 1 : 0;
          }

          hits += before < topK ? 1 : 0;
        }
      }
    }

    return hits;
  }

  /** The linear map at the start, {@code [features][outputs]}: gates, or uniform as in torch. */
  private float[] linearStart(int outputs) {
    int width = features.width();
    float[] start = new float[width * outputs];
    if (task.start().length == 0) {
      SplittableRandom random = new SplittableRandom(mix(config.seed(), task.layer(), -1, 0));
      double bound = 1 / Math.sqrt(model.hiddenSize());
      for (int i = 0; i < start.length; i++) {
        start[i] = (float) random.nextDouble(-bound, bound);
      }

      return start;
    }

    for (int output = 0; output < outputs; output++) {
      for (int feature = 0; feature < model.hiddenSize(); feature++) {
        start[feature * outputs + output] = task.start()[output * model.hiddenSize() + feature];
      }

      if (task.startBias().length > 0) {
        start[(width - 1) * outputs + output] = task.startBias()[output];
      }
    }

    return start;
  }

  /** The units at the start: normal with variance 1 / features; V starts at 0. */
  private float[] downStart() {
    float[] start = new float[features.width() * config.rank()];
    RandomGenerator random = new SplittableRandom(mix(config.seed(), task.layer(), -2, 0));
    double deviation = 1 / Math.sqrt(features.width());
    for (int i = 0; i < start.length; i++) {
      start[i] = (float) (random.nextGaussian() * deviation);
    }

    return start;
  }

  private static int[] permutation(int length, long seed) {
    int[] order = new int[length];
    Arrays.setAll(order, i -> i);
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }

    return order;
  }

  /** A seed of a seed and three numbers. */
  private static long mix(long seed, long a, long b, long c) {
    long mixed = seed;
    for (long value : new long[] {a, b, c}) {
      mixed = new SplittableRandom(mixed * 0x9e3779b97f4a7c15L + value).nextLong();
    }

    return mixed;
  }

  /** Of everything that the weights depend on. */
  private long fingerprint() {
    CRC32 sum = new CRC32();
    sum.update(
        "%s %d %d %s %s %d"
            .formatted(
                config,
                task.layer(),
                task.heads(),
                model,
                rows.states().origin(),
                rows.states().rows())
            .getBytes(StandardCharsets.UTF_8));
    long data = Arrays.hashCode(rows.train()) * 31L + Arrays.hashCode(rows.validation());
    data = data * 31 + Arrays.hashCode(task.start());
    data = data * 31 + Arrays.hashCode(task.startBias());
    data = data * 31 + Arrays.hashCode(task.logAffinity());
    sum.update(ByteBuffer.allocate(8).putLong(data).array());
    return sum.getValue() << 32 ^ data;
  }
}
