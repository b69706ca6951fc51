/** What all that generates has in common: how urgent it is, how it ended, what it cost. Times in milliseconds. */

/** Scheduling class, most urgent first. A running lower class yields between two batches. */
export type Priority = "suggest" | "chat" | "warm";

export type FinishReason = "stop" | "length" | "cancelled";

/** What came of guessing tokens ahead and verifying several of them in one pass. */
export interface Guesses {
  /** Guessed and verified. */
  draftedTokens: number;
  /** Those of them that became part of an answer. */
  acceptedTokens: number;
  /** Of both, those that a draft model guessed. */
  draftModelTokens: number;
  acceptedDraftModelTokens: number;
  /** Of computing one token a pass. Negative: that would have been faster. */
  savedMs: number;
}

/** What one generation cost. */
export interface Usage extends Guesses {
  promptTokens: number;
  /** Prompt tokens whose KV was still there and was not computed again. */
  reusedTokens: number;
  completionTokens: number;
  queuedMs: number;
  prefillMs: number;
  decodeMs: number;
  decodePasses: number;
}

/**
 * What computing ahead came to; null: the model is not in memory, or energy or the processor is to be spared. Cancelled is what
 * was called off, and what the time for computing ahead was used up by, before all was there.
 */
export type AheadResult = {
  promptTokens: number;
  computedTokens: number;
  computeMs: number;
  cancelled: boolean;
} | null;
