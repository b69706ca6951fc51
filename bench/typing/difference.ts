import { quantile, seededRandom } from "../harness/statistics";

/** Values of one block of keys with NMOS and of the block next to it without. */
export interface BlockPair {
  withIt: readonly number[];
  without: readonly number[];
}

export interface Difference {
  withIt: number;
  without: number;
  /** What NMOS adds to the quantile, and the interval in which 95 of 100 repetitions of the measurement would find it. */
  added: number;
  low: number;
  high: number;
}

const resamples = 2000;

/**
 * A quantile of all values with and without, and how certain their difference is: by the bootstrap (Efron, 1979) over pairs of
 * blocks, because the keys of one block have more in common than those of different ones.
 */
export function difference(pairs: readonly BlockPair[], q: number): Difference {
  const random = seededRandom(7);
  const differences = Array.from({ length: resamples }, () =>
    quantilesOf(
      pairs.map((_, index) => pairs[Math.floor(random() * pairs.length)] ?? pairs[index] ?? nothing),
      q,
    ),
  ).map(({ withIt, without }) => withIt - without);
  const { withIt, without } = quantilesOf(pairs, q);
  return {
    withIt,
    without,
    added: withIt - without,
    low: quantile(differences, 0.025),
    high: quantile(differences, 0.975),
  };
}

const nothing: BlockPair = { withIt: [], without: [] };

function quantilesOf(pairs: readonly BlockPair[], q: number): { withIt: number; without: number } {
  return {
    withIt: quantile(
      pairs.flatMap(({ withIt }) => withIt),
      q,
    ),
    without: quantile(
      pairs.flatMap(({ without }) => without),
      q,
    ),
  };
}
