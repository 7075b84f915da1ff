package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;

/**
 * Simulated annealing (Kirkpatrick, Gelatt, Vecchi 1983) of a map by swaps inside a layer, and by
 * moves where the bounds leave room. The temperature falls geometrically.
 */
final class Annealing {
  /** Proposals between changes of temperature: a step of a search. */
  static final int BLOCK = 1024;

  /** Proposals in a row for one layer, whose tables are then at hand. */
  private static final int SAME = 64;

  private static final int SAMPLES = 2000;

  /** Of load above a cap, in units of the first temperature and the mean difference in load. */
  private static final double FIRST_PRICE = 1;

  private static final double LAST_PRICE = 10;

  /** Proposals in a row for one layer where hops are all that counts. */
  private static final int VISIT = 256;

  /** Times that thresholds are drawn in an anneal, or else once a block. */
  private static final int THRESHOLDS = 200;

  private static final int TABLE_BITS = 11;
  private static final int TABLE = 1 << TABLE_BITS;

  /**
   * {@code -ln u} in the middles of equal steps of u, in any order: no logarithm for a proposal.
   */
  private static final double[] MINUS_LOG = minusLog();

  private final Chain chain;
  private final AnnealedMap map;
  private final BooleanSupplier isTimeUp;
  private final boolean hasRoom; // some part may hold more or fewer experts
  private final boolean hasCaps;
  private final int parts;
  private final int[] thresholds; // those of the table, its first ones again at the end
  private double excessPrice; // of load above a cap, in units of cost

  Annealing(Chain chain, AnnealedMap map, BooleanSupplier isTimeUp) {
    this.chain = chain;
    this.map = map;
    this.isTimeUp = isTimeUp;
    boolean room = false;
    int widest = 0;
    for (int layer = 0; layer < chain.layers(); layer++) {
      widest = Math.max(widest, chain.size(layer));
      for (int part = 0; part < chain.parts().gpus(); part++) {
        room |= chain.least(layer, part) < chain.most(layer, part);
      }
    }

    this.thresholds = new int[TABLE + widest];
    this.parts = chain.parts().gpus();
    this.hasRoom = room;
    this.hasCaps = chain.hasCaps();
  }

  private static double[] minusLog() {
    int[] order = new int[TABLE];
    Arrays.setAll(order, i -> i);
    Starts.shuffle(order, new SplittableRandom(1));
    return Arrays.stream(order).mapToDouble(i -> -Math.log((i + 0.5) / TABLE)).toArray();
  }

  /** The mean size of the effect of a swap: the unit of temperatures. */
  double unit(SplittableRandom random) {
    double sum = 0;
    int counted = 0;
    for (int i = 0; i < SAMPLES; i++) {
      int layer = random.nextInt(chain.layers());
      int one = random.nextInt(chain.size(layer));
      int other = random.nextInt(chain.size(layer));
      if (map.part(layer, one) != map.part(layer, other)) {
        sum += Math.abs(map.swapRise(layer, one, other));
        counted++;
      }
    }

    return counted == 0 || sum == 0 ? 1 : sum / counted;
  }

  /**
   * Anneals some adjacent layers, the others staying as they are; stops early if time is up.
   *
   * @param proposals number of changes proposed
   * @param hot first temperature, in units of cost
   * @param cold last temperature, above 0
   */
  void run(
      int firstLayer,
      int lastLayer,
      long proposals,
      double hot,
      double cold,
      SplittableRandom random) {
    double blocks = Math.max(1, proposals / BLOCK);
    double cooling = Math.pow(cold / hot, 1 / blocks);
    double temperature = hot;
    double pricing = Math.pow(LAST_PRICE / FIRST_PRICE, 1 / blocks);
    excessPrice = hasCaps ? FIRST_PRICE * hot / Math.max(1, loadUnit(firstLayer, lastLayer)) : 0;
    long every = Math.max(1, proposals / BLOCK / THRESHOLDS) * BLOCK;
    for (long done = 0; done < proposals && !isTimeUp.getAsBoolean(); done += BLOCK) {
      if (done % every == 0) {
        setThresholds(temperature);
      }

      block(firstLayer, lastLayer - firstLayer + 1, temperature, random);
      temperature *= cooling;
      excessPrice *= pricing;
    }

    for (int layer = firstLayer; hasCaps && layer <= lastLayer; layer++) {
      repair(layer);
    }
  }

  /** The mean difference in load of two experts. */
  private double loadUnit(int firstLayer, int lastLayer) {
    double sum = 0;
    double pairs = 0;
    for (int layer = firstLayer; layer <= lastLayer; layer++) {
      for (int one = 1; one < chain.size(layer); one++) {
        for (int other = 0; other < one; other++) {
          sum += Math.abs(chain.load(layer, one) - chain.load(layer, other));
          pairs++;
        }
      }
    }

    return pairs == 0 ? 0 : sum / pairs;
  }

  /** Takes what is left above the cap away, the cheapest swap that lowers it first. */
  private void repair(int layer) {
    while (map.excess(layer) > 0) {
      int bestOne = -1;
      int bestOther = -1;
      double best = Double.POSITIVE_INFINITY; // cost for each choice less above the cap
      for (int one = 1; one < chain.size(layer); one++) {
        for (int other = 0; other < one; other++) {
          if (map.part(layer, one) != map.part(layer, other)) {
            long excess = map.swapExcess(layer, one, other);
            double price = excess < 0 ? map.swapRise(layer, one, other) / (double) -excess : best;
            if (price < best) {
              best = price;
              bestOne = one;
              bestOther = other;
            }
          }
        }
      }

      if (bestOne < 0) {
        return; // no single swap helps: the layer stays above its cap
      }

      map.swap(layer, bestOne, bestOther);
    }
  }

  private void block(int firstLayer, int layers, double temperature, SplittableRandom random) {
    if (map.isHopsAlone()) {
      for (int left = BLOCK; left > 0; ) {
        left -= visit(firstLayer + random.nextInt(layers), random);
      }

      return;
    }

    int layer = firstLayer;
    for (int i = 0; i < BLOCK; i++) {
      // one draw gives the layer, two experts and the threshold; 16 bits each choose evenly enough
      long bits = random.nextLong();
      if (i % SAME == 0) {
        layer = firstLayer + (int) (((bits & 0xffff) * layers) >>> 16);
      }

      int size = chain.size(layer);
      int one = (int) (((bits >>> 16 & 0xffff) * size) >>> 16);
      double threshold = temperature * MINUS_LOG[(int) (bits >>> 64 - TABLE_BITS)];
      if (hasRoom && (bits >>> 48 & 3) == 0) {
        tryMove(layer, one, (int) (((bits >>> 32 & 0xffff) * parts) >>> 16), threshold);
        continue;
      }

      trySwap(layer, one, (int) (((bits >>> 32 & 0xffff) * size) >>> 16), threshold);
    }
  }

  private void trySwap(int layer, int one, int other, double threshold) {
    if (map.part(layer, one) == map.part(layer, other)) {
      return;
    }

    double rise = map.swapRise(layer, one, other);
    if (hasCaps) {
      rise += excessPrice * map.swapExcess(layer, one, other);
    }

    if (rise <= threshold) {
      map.swap(layer, one, other);
    }
  }

  private void tryMove(int layer, int one, int to, double threshold) {
    if (map.mayMove(layer, one, to)) {
      double rise = map.moveRise(layer, one, to);
      if (hasCaps) {
        rise += excessPrice * map.moveExcess(layer, one, to);
      }

      if (rise <= threshold) {
        map.move(layer, one, to);
      }
    }
  }

  /**
   * Proposes swaps of some experts of a layer with each other one.
   *
   * @return how many were proposed
   */
  private int visit(int layer, SplittableRandom random) {
    int size = chain.size(layer);
    int count = Math.max(1, VISIT / size);
    for (int i = 0; i < count; i++) {
      int one = random.nextInt(size);
      int offset = random.nextInt(TABLE);
      if (hasRoom) {
        tryMove(layer, one, random.nextInt(parts), thresholds[offset]);
      }

      scan(layer, one, offset);
    }

    return count * size;
  }

  /** Proposes swaps of an expert with each other one. */
  private void scan(int layer, int one, int offset) {
    int size = chain.size(layer);
    if (hasCaps && map.excess(layer) > 0) {
      for (int other = 0; other < size; other++) {
        trySwap(layer, one, other, thresholds[offset + other]);
      }

      return;
    }

    // no part is above the cap: a swap that is not within by its hops is not with its load either
    int other = map.firstWithin(layer, one, 0, thresholds, offset);
    while (other < size) {
      if (hasCaps) {
        trySwap(layer, one, other, thresholds[offset + other]);
      } else {
        map.swap(layer, one, other);
      }

      other = map.firstWithin(layer, one, other + 1, thresholds, offset);
    }
  }

  private void setThresholds(double temperature) {
    for (int i = 0; i < TABLE; i++) {
      thresholds[i] = (int) Math.min(HopTable.MOST_THRESHOLD, temperature * MINUS_LOG[i]);
    }

    for (int i = TABLE; i < thresholds.length; i++) {
      thresholds[i] = thresholds[i - TABLE]; // layers may have more experts than the table
    }
  }
}
