import { firstLine, type Suggestion } from "./suggestion";

/** The probability that something is so, by the logarithm of its odds: linear in what is known of it. */
export interface LogisticModel {
  intercept: number;
  /** One for each feature, in the same order. */
  weights: readonly number[];
}

/**
 * What tells whether a suggestion is right: how confident the model was of its first line as a whole, and of its tokens on
 * average (natural logarithms).
 */
export const features = ["total", "mean"] as const;

/**
 * Fitted by `npm run bench -- confidence` to whether Qwen2.5-Coder 0.5B Instruct (Q4_K_M) completed 167 lines of C++,
 * TypeScript and Python, cut at random columns, exactly: 74 were. Fitted to four fifths of them it tells right ones and wrong
 * ones of the last fifth apart in 87% of the pairs. The place (how far to the right, within a word, a comment) adds nothing.
 */
export const fittedModel: LogisticModel = { intercept: 1.28, weights: [0.746, 4.331] };

/** By how much it may be wrong: suggestions less probable than this to be right are hidden. */
export const leastProbability = { off: 0, low: 0.1, normal: 0.25, high: 0.5 } as const;

export type HideUnlikely = keyof typeof leastProbability;

/** Undefined: the engine did not say how confident the model was, or there is no text. */
export function featuresOf({ text, confidence }: Suggestion): number[] | undefined {
  if (!confidence || firstLine(text) === "") return undefined;
  return [confidence.mean * confidence.tokens, confidence.mean];
}

export function probabilityOf({ intercept, weights }: LogisticModel, values: readonly number[]): number {
  return fromLogOdds(values.reduce((sum, value, index) => sum + value * (weights[index] ?? 0), intercept));
}

export function logOdds(probability: number): number {
  return Math.log(probability / (1 - probability));
}

export function fromLogOdds(value: number): number {
  return 1 / (1 + Math.exp(-value));
}
