import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** A driver that crashes takes the engine with it; after so many starts that ended so it is left alone. */
const mostFailures = 2;

/**
 * Failures count when they come in such a time: whoever waits for an answer starts the engine again at once, while one that
 * ended with the machine, before it had computed anything, says nothing.
 */
const spanMs = 30 * 60_000;

/**
 * Remembers on disk that a backend is being tried, until it has proved itself: a host that comes to the same place again
 * knows then that the one before it never got further.
 */
export class BackendTrial {
  constructor(
    private readonly file: string,
    private readonly log: (line: string) => void,
    private readonly now: () => number = Date.now,
  ) {}

  /** It is not to be loaded. */
  hasFailed(): boolean {
    return this.read().length >= mostFailures;
  }

  /** Before the backend is loaded. False: it has failed too often, do not load it. */
  begin(): boolean {
    if (this.hasFailed()) return false;
    const starts = this.read();
    const now = this.now();
    const recent = starts.filter((start) => now - start < spanMs);
    try {
      mkdirSync(dirname(this.file), { recursive: true });
      writeFileSync(this.file, JSON.stringify([...recent, now]));
    } catch {
      // A disk that cannot be written to is no reason not to use the card.
    }
    return true;
  }

  /** It computed something, was given up in an orderly way, or is to be tried anew. Never throws. */
  passed(): void {
    try {
      rmSync(this.file, { force: true });
    } catch (thrown) {
      // Who looks at new files holds them for a moment on Windows. It is tried again at the next call.
      this.log(`${this.file} cannot be removed: ${String(thrown)}`);
    }
  }

  /** When the starts without success began, in milliseconds since the epoch. */
  private read(): number[] {
    try {
      const starts: unknown = JSON.parse(readFileSync(this.file, "utf8"));
      return Array.isArray(starts) ? starts.filter((start) => typeof start === "number") : [];
    } catch {
      return [];
    }
  }
}
