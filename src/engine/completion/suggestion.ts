import type { Confidence } from "../../shared/completion";

/** Text to be shown at a cursor, and how confident the model was of its first line, or of the part of it that is left. */
export interface Suggestion {
  /** Empty: there is nothing to be shown. */
  text: string;
  confidence: Confidence | null;
  /** A better model has seen it. */
  isChecked?: boolean;
}

/**
 * What is left of a suggestion of which some was typed. What agreed so far is no longer doubtful: of the tokens, those count
 * that are left, by the share of the characters.
 */
export function restOf(suggestion: Suggestion, rest: string): Suggestion {
  const { text, confidence } = suggestion;
  if (!confidence) return { ...suggestion, text: rest };
  const line = firstLine(text).length;
  const share = line === 0 ? 1 : Math.min(1, firstLine(rest).length / line);
  return { ...suggestion, text: rest, confidence: { ...confidence, tokens: confidence.tokens * share } };
}

/** The first line with text. */
export function firstLine(text: string): string {
  return text.trimStart().split("\n", 1)[0] ?? "";
}
