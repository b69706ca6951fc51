/** Gaps that are remembered of each language. */
const memory = 64;

/** The user's own gaps tell enough from so many on. */
const enough = 16;

/** Milliseconds between the keys of somebody who types at a moderate pace and stops now and then. */
const usual = [90, 120, 140, 160, 180, 200, 230, 280, 350, 500, 1200, 5000];

/** Ghost text is begun where it is at least so likely that it is seen before the next key. */
const worthBeginning = 0.25;

/** Milliseconds; nobody waits longer for ghost text to be begun. */
const longestWait = 1000;

/**
 * The gaps between the keys that a user types, and what they tell: after so many milliseconds without a key, is the next
 * one so far away that an answer will still be looked at? Pauses are gaps, too, the longest ones. Every language has its
 * own: prose is typed in another rhythm than code.
 */
export class TypingRhythm {
  private readonly gaps = new Map<string, number[]>();

  record(languageId: string, gap: number): void {
    const gaps = this.gaps.get(languageId) ?? [];
    this.gaps.set(languageId, [...gaps, gap].slice(-memory));
  }

  /**
   * Milliseconds to wait after a key until an answer that takes `answerMs` has a fair chance to be there before the next
   * one. An answer that is there in no time is begun at once.
   */
  wait(languageId: string, answerMs: number): number {
    const own = this.gaps.get(languageId) ?? [];
    const gaps = own.length < enough ? [...own, ...usual] : own;
    const longerThan = (time: number) => gaps.filter((gap) => gap > time).length;
    const isLikelyPause = (time: number) => longerThan(time + answerMs) >= worthBeginning * longerThan(time);
    const times = [0, ...gaps].filter((time) => time < longestWait).sort((a, b) => a - b);
    return times.find(isLikelyPause) ?? longestWait;
  }
}
