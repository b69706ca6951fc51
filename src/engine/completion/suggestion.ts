import type { Confidence } from "../../shared/protocol";

/** Text to be shown at a cursor, and how confident the model was of its first line. */
export interface Suggestion {
  /** Empty: there is nothing to be shown. */
  text: string;
  confidence: Confidence | null;
}

/** What is left of a suggestion of which some was typed: what agreed so far is no longer doubtful. */
export function restOf({ text, confidence }: Suggestion, rest: string): Suggestion {
  if (!confidence) return { text: rest, confidence };
  const line = firstLine(text).length;
  const share = line === 0 ? 1 : Math.min(1, firstLine(rest).length / line);
  return { text: rest, confidence: { ...confidence, tokens: confidence.tokens * share } };
}

/** The first line with text. */
export function firstLine(text: string): string {
  return text.trimStart().split("\n", 1)[0] ?? "";
}
