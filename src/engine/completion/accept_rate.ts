import { fromLogOdds, logOdds } from "./suggestion_score";

/** Suggestions that are remembered. */
const memory = 50;

/** So many suggestions that were accepted as often as was expected are thought of beside those that there were. */
const prior = 20;

/** What the user does changes the log odds by so much at most: what is hidden cannot be accepted. */
const mostShift = 1;

/**
 * Whether the user accepts suggestions more or less often than their probabilities say, of late. Those of a user who accepts
 * few are thought less of, so that fewer are shown, and the other way round.
 */
export class AcceptRate {
  private fates: { probability: number; accepted: boolean }[] = [];

  /** What became of a suggestion that was seen, and how probable it was to be right. */
  record(probability: number, accepted: boolean): void {
    this.fates = [...this.fates, { probability, accepted }].slice(-memory);
  }

  /** How probable a suggestion is to be accepted by this user. */
  adjusted(probability: number): number {
    const count = this.fates.length;
    if (count === 0) return probability;
    const expected = this.fates.reduce((sum, fate) => sum + fate.probability, 0) / count;
    const accepted = this.fates.filter((fate) => fate.accepted).length;
    const shift = logOdds((accepted + prior * expected) / (count + prior)) - logOdds(expected);
    return fromLogOdds(logOdds(probability) + Math.max(-mostShift, Math.min(mostShift, shift)));
  }
}
