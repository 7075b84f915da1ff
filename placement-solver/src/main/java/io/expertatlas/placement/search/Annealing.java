package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;

/**
 * Simulated annealing (Kirkpatrick, Gelatt, Vecchi 1983) of a map by swaps inside a layer, and by
 * moves where the bounds leave room. The temperature falls geometrically.
 */
final class Annealing {
  private static final int BLOCK = 1024; // proposals between changes of temperature
  private static final int SAMPLES = 2000;

  /** {@code -ln u} in the middles of 4096 equal steps of u: no logarithm for a proposal. */
  private static final double[] MINUS_LOG = minusLog(1 << 12);

  private final Chain chain;
  private final AnnealedMap map;
  private final BooleanSupplier isTimeUp;
  private final boolean hasRoom; // some part may hold more or fewer experts

  Annealing(Chain chain, AnnealedMap map, BooleanSupplier isTimeUp) {
    this.chain = chain;
    this.map = map;
    this.isTimeUp = isTimeUp;
    boolean room = false;
    for (int layer = 0; layer < chain.layers(); layer++) {
      for (int part = 0; part < chain.parts().gpus(); part++) {
        room |= chain.least(layer, part) < chain.most(layer, part);
      }
    }

    this.hasRoom = room;
  }

  private static double[] minusLog(int steps) {
    double[] table = new double[steps];
    for (int i = 0; i < steps; i++) {
      table[i] = -Math.log((i + 0.5) / steps);
    }

    return table;
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
    double cooling = Math.pow(cold / hot, (double) BLOCK / Math.max(BLOCK, proposals));
    double temperature = hot;
    for (long done = 0; done < proposals && !isTimeUp.getAsBoolean(); done += BLOCK) {
      block(firstLayer, lastLayer - firstLayer + 1, temperature, random);
      temperature *= cooling;
    }
  }

  private void block(int firstLayer, int layers, double temperature, SplittableRandom random) {
    int parts = chain.parts().gpus();
    for (int i = 0; i < BLOCK; i++) {
      // one draw gives the layer, two experts and the threshold; 16 bits each choose evenly enough
      long bits = random.nextLong();
      int layer = firstLayer + (int) (((bits & 0xffff) * layers) >>> 16);
      int size = chain.size(layer);
      int one = (int) (((bits >>> 16 & 0xffff) * size) >>> 16);
      double threshold = temperature * MINUS_LOG[(int) (bits >>> 52)];
      if (hasRoom && (bits >>> 48 & 3) == 0) {
        int to = (int) (((bits >>> 32 & 0xffff) * parts) >>> 16);
        if (map.mayMove(layer, one, to) && map.moveRise(layer, one, to) <= threshold) {
          map.move(layer, one, to);
        }

        continue;
      }

      int other = (int) (((bits >>> 32 & 0xffff) * size) >>> 16);
      if (map.part(layer, one) != map.part(layer, other)
          && map.swapRise(layer, one, other) <= threshold) {
        map.swap(layer, one, other);
      }
    }
  }
}
