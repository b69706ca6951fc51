/** How often the engine host may die before starting it again has to wait. */
const toleratedCrashes = 3;
const windowMs = 60_000;
const shortestWaitMs = 5_000;
export const longestWaitMs = 300_000;

/**
 * Decides when a host that keeps dying may be started again: at once after the first few crashes within a minute, then
 * after a wait that doubles with every further one. Pure but for the clock that is passed in.
 */
export class CrashBackoff {
  private crashes: number[] = [];
  private waitMs = 0;

  /** Remembers a crash; returns when the next start is allowed, in milliseconds since the epoch (`now`: at once). */
  crashed(now: number): number {
    this.crashes = [...this.crashes.filter((time) => now - time < Math.max(windowMs, this.waitMs * 2)), now];
    if (this.crashes.length < toleratedCrashes) {
      this.waitMs = 0;
      return now;
    }
    this.waitMs = Math.min(longestWaitMs, this.waitMs === 0 ? shortestWaitMs : this.waitMs * 2);
    return now + this.waitMs;
  }

  /** The user asked for a restart: forget what was. */
  reset(): void {
    this.crashes = [];
    this.waitMs = 0;
  }
}
