/** Tokens that the usual budget takes at most: on a processor without a card, ten seconds of half a billion parameters. */
export const longestPrompt = 2560;

/** Times the usual budget. */
const scales = [1, 2, 4];

/** Milliseconds in which a context that is larger than the usual one has to be computed as a whole: a pause of the user. */
const pauseMs = 2500;

/**
 * How many times the usual context a model gets, by what it computes, in tokens a millisecond (undefined: nobody knows yet),
 * and by how many tokens it takes. What it had `before` it keeps until it is half as fast as that needs: with every change
 * the prompt is computed anew.
 */
export function contextScale(speed: number | undefined, contextLength: number, before: number): number {
  const affordable = (tokensPerMs: number) =>
    scales.findLast((scale) => scale * longestPrompt <= tokensPerMs * pauseMs) ?? 1;
  const most = Math.max(1, Math.floor(contextLength / longestPrompt));
  const scale = speed === undefined ? before : Math.max(affordable(speed), Math.min(before, affordable(2 * speed)));
  return Math.min(most, scale);
}
