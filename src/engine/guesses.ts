import type { Guesses } from "../shared/generation";

export const noGuesses: Guesses = {
  draftedTokens: 0,
  acceptedTokens: 0,
  draftModelTokens: 0,
  acceptedDraftModelTokens: 0,
  savedMs: 0,
};

export function sumOfGuesses(one: Guesses, other: Guesses): Guesses {
  return {
    draftedTokens: one.draftedTokens + other.draftedTokens,
    acceptedTokens: one.acceptedTokens + other.acceptedTokens,
    draftModelTokens: one.draftModelTokens + other.draftModelTokens,
    acceptedDraftModelTokens: one.acceptedDraftModelTokens + other.acceptedDraftModelTokens,
    savedMs: one.savedMs + other.savedMs,
  };
}
