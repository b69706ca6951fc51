/** Of the time that passes, this share may be spent on computing ahead. */
const share = 0.25;

/** Milliseconds that may be spent at once after a while without. */
const most = 30_000;

/**
 * How much may be computed ahead: what nobody asked for must not keep the processor, or the fan, running all the time.
 * Times are in milliseconds.
 */
export class AheadBudget {
  private left = most;

  constructor(private filledAt: number) {}

  allows(now: number): boolean {
    this.left = Math.min(most, this.left + (now - this.filledAt) * share);
    this.filledAt = now;
    return this.left > 0;
  }

  spend(milliseconds: number): void {
    this.left -= milliseconds;
  }
}
