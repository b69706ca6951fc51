/** Of the time that passes, this share may be spent on computing ahead. */
const share = 0.25;

/** Milliseconds that may be spent at once after a while without. */
const most = 30_000;

/**
 * Milliseconds; with less nothing is begun. The step that the time is up in is lost, and steps take up to a quarter of that: a
 * model that takes longer for one than there is would spend all the time on steps that are lost.
 */
const least = 1_000;

/**
 * How much may be computed ahead: what nobody asked for must not keep the processor, or the fan, running all the time.
 * Times are in milliseconds.
 */
export class AheadBudget {
  private available = most;

  constructor(private filledAt: number) {}

  /** What may be spent now; 0: nothing. */
  left(now: number): number {
    this.available = Math.min(most, this.available + (now - this.filledAt) * share);
    this.filledAt = now;
    return this.available < least ? 0 : this.available;
  }

  spend(milliseconds: number): void {
    this.available -= milliseconds;
  }
}
