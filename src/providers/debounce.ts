/** Requests whose fate is remembered. */
const memory = 8;

/** How much longer than the setting the wait can become. */
const longest = 4;

/**
 * How long to wait after a keystroke before asking the model. A request that the next keystroke supersedes was work for
 * nothing, so the wait grows with the share of the last requests that ended so: from the setting up to four times it.
 */
export class Debounce {
  private readonly superseded: boolean[] = [];

  record(outcome: "answered" | "superseded"): void {
    this.superseded.push(outcome === "superseded");
    if (this.superseded.length > memory) this.superseded.shift();
  }

  /** Milliseconds, for a setting of `base` milliseconds. */
  delay(base: number): number {
    const share = this.superseded.filter(Boolean).length / memory;
    return Math.round(base * (1 + (longest - 1) * share));
  }
}

/** Resolves true after the time, or false as soon as the signal aborts. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve(true);
    }, milliseconds);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
