/** Milliseconds. A longer time between two looks at the clock is the machine's: it slept, or its clock was set. */
const longestStepMs = 60_000;

/**
 * Counts the time in which the machine was awake. Systems do not agree whether their clocks go on while it sleeps, and the time
 * of day may be set; but nobody was idle, late or hung meanwhile. Has to be looked at every minute, or counts too little.
 */
export class AwakeClock {
  private passed = 0;
  private lookedAt: number;

  /** `read`: the system's clock, in milliseconds. */
  constructor(
    private readonly read: () => number = Date.now,
    private readonly longestStep: number = longestStepMs,
  ) {
    this.lookedAt = read();
  }

  /** Milliseconds since it was made. Never goes back. */
  now(): number {
    const now = this.read();
    const step = now - this.lookedAt;
    this.lookedAt = now;
    if (step > 0) this.passed += Math.min(step, this.longestStep);
    return this.passed;
  }
}
