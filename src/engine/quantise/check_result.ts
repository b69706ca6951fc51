import { EngineError } from "../../shared/errors";
import type { WeightType } from "../../shared/quantise";
import type { NativeDivergence } from "../native/addon";

/** Code and prose of the kind that models know, about a hundred tokens. */
export const checkText = `Binary search finds the position of a value in a sorted list. It compares the value with the middle element and goes on in the half that can hold it, so that a list of a million elements takes twenty steps.

def binary_search(items, value):
    low, high = 0, len(items) - 1
    while low <= high:
        middle = (low + high) // 2
        if items[middle] == value:
            return middle
        if items[middle] < value:
            low = middle + 1
        else:
            high = middle - 1
    return -1
`;

/**
 * Largest mean KL divergence, in nats per token, of a result that is of use. Small models lose the most: SmolLM2-135M
 * has 0.005 as Q8_0, 0.05 as Q4_K_M, 0.21 as IQ4_XS and 0.33 as Q4_0. A model that was spoiled has several nats.
 */
export const mostDivergence: Readonly<Record<WeightType, number>> = { Q8_0: 0.05, Q4_K_M: 0.5, IQ4_XS: 1, Q4_0: 1 };

/**
 * Largest mean -ln p of the check's text by a result whose source was too large to compare with: guessing among the tokens
 * of the smallest vocabularies has 10, and models that work have 1 to 3.
 */
export const mostSurprise = 5;

/** Fails with `MODEL_INVALID` when the source at `path`, looked at by itself, predicts no numbers. */
export function judgeSource({ surprise }: NativeDivergence, path: string): void {
  if (Number.isFinite(surprise)) return;
  throw new EngineError(
    "MODEL_INVALID",
    `The predictions of ${path} are not numbers, so its weights are damaged. Nothing was quantised. Download the model again.`,
  );
}

/**
 * Fails with `QUALITY_TOO_LOW` when a result predicts nothing sensible, and with `MODEL_INVALID` when it does, but its source
 * predicts no numbers to compare with.
 */
export function judgeResult({ surprise, meanKl }: NativeDivergence, type: WeightType): void {
  if (!Number.isFinite(surprise)) throw tooLow(`its predictions as ${type} are not numbers`);
  if (meanKl !== null && !Number.isFinite(meanKl)) {
    throw new EngineError(
      "MODEL_INVALID",
      "The predictions of the source are not numbers, unlike those of the result.",
    );
  }
  if (meanKl !== null && meanKl > mostDivergence[type]) {
    throw tooLow(
      `as ${type} its predictions are ${meanKl.toFixed(3)} nats per token from those of the source, and at most ${String(mostDivergence[type])} were expected`,
    );
  }
  if (meanKl === null && surprise > mostSurprise) {
    throw tooLow(
      `as ${type} it finds plain text improbable, by ${surprise.toFixed(1)} nats per token, and at most ${String(mostSurprise)} were expected`,
    );
  }
}

function tooLow(why: string): EngineError {
  return new EngineError(
    "QUALITY_TOO_LOW",
    `The quantised model was removed, because ${why}. Choose a type of higher precision, such as Q8_0, or check that the source answers well.`,
  );
}
