package io.expertatlas.predictor.spark;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.SequenceSplit.Part;
import io.expertatlas.predictor.nd4j.LayerRows;
import io.expertatlas.predictor.nd4j.LayerTask;
import io.expertatlas.predictor.nd4j.LayerTrainer;
import io.expertatlas.predictor.nd4j.TrainedLayer;
import io.expertatlas.predictor.store.LayerSpool;
import java.io.File;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.SparkEnv;
import org.apache.spark.util.LongAccumulator;
import scala.Tuple2;

/**
 * What a Spark task does: all trainings of one layer, which read the same states.
 *
 * @param numbers of the trainings, among all
 * @param tasks of the layer
 * @param origin what the states are read from, in words
 */
record LayerJob(ArrayList<Integer> numbers, ArrayList<LayerTask> tasks, String origin)
    implements Serializable {
  /** A training that is done, and its number. */
  record Trained(int task, TrainedLayer layer) implements Serializable {}

  /** A job for each layer, in their order. */
  static List<LayerJob> of(List<LayerTask> tasks, int layers, String origin) {
    List<LayerJob> jobs = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      jobs.add(new LayerJob(new ArrayList<>(), new ArrayList<>(), origin));
    }

    for (int number = 0; number < tasks.size(); number++) {
      LayerJob job = jobs.get(tasks.get(number).layer());
      job.numbers.add(number);
      job.tasks.add(tasks.get(number));
    }

    return jobs;
  }

  /**
   * Trains on the layer's blocks, which come in the order of their tokens.
   *
   * @param epochs is added to when a training is done
   */
  Iterator<Trained> train(
      PredictedModel model, Iterator<Tuple2<BlockKey, byte[]>> blocks, LongAccumulator epochs)
      throws IOException {
    List<Trained> trained = new ArrayList<>();
    if (tasks.isEmpty()) {
      return trained.iterator();
    }

    LayerTask first = tasks.get(0);
    try (LayerSpool spool =
        new LayerSpool(localFolder(first.layer()), model, first.heads(), origin)) {
      while (blocks.hasNext()) {
        spool.add(blocks.next()._2());
      }

      LayerRows rows = new LayerRows(spool, spool.rows(Part.TRAIN), spool.rows(Part.VALIDATION));
      for (int i = 0; i < tasks.size(); i++) {
        TrainedLayer layer = LayerTrainer.train(reachable(tasks.get(i)), rows, () -> {});
        trained.add(new Trained(numbers.get(i), layer));
        epochs.add(tasks.get(i).config().epochs());
      }
    }

    return trained.iterator();
  }

  /** Where Spark keeps what it shuffles: removed with the executor, however that ends. */
  private static Path localFolder(int layer) {
    File[] folders = SparkEnv.get().blockManager().diskBlockManager().localDirs();
    return folders[layer % folders.length].toPath();
  }

  /** The task, without a checkpoint if the folder for it is not on this machine. */
  private static LayerTask reachable(LayerTask task) {
    boolean there =
        !task.checkpoint().isEmpty() && Files.isDirectory(Path.of(task.checkpoint()).getParent());
    return there ? task : task.withoutCheckpoint();
  }
}
