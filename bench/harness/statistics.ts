/** The statistics behind every figure NMOS publishes. All functions leave their input untouched. */

/**
 * Quantile with linear interpolation between order statistics (type 7 of Hyndman and Fan, "Sample Quantiles in
 * Statistical Packages", 1996: the default of R and NumPy). `q` lies in [0, 1].
 */
export function quantile(values: readonly number[], q: number): number {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`expected a quantile between 0 and 1, got ${q}`);
  const sorted = [...values].sort((a, b) => a - b);
  const position = q * (sorted.length - 1);
  const lower = sorted[Math.floor(position)];
  const upper = sorted[Math.ceil(position)];
  if (lower === undefined || upper === undefined) throw new RangeError("expected at least one value, got none");
  return lower + (upper - lower) * (position - Math.floor(position));
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Of no values 0. */
export function mean(values: readonly number[]): number {
  return sum(values) / Math.max(1, values.length);
}

/** What `part` is of `all`, both counts; of none 0. */
export function percentage(part: number, all: number): number {
  return (100 * part) / Math.max(1, all);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/**
 * Median of the ratios of values measured side by side: `ours[i] / theirs[i]`, both from round `i`. Whatever slows a
 * whole round down (heat, another tenant of the machine) cancels in its ratio, which a ratio of medians would not do.
 */
export function medianRatio(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length) {
    throw new RangeError(`expected as many values of both sides, got ${ours.length} and ${theirs.length}`);
  }
  return median(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)));
}

/** Deterministic numbers in [0, 1): the same schedule of random moments in every run (xorshift32, Marsaglia 2003). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 0x1_0000_0000;
  };
}
