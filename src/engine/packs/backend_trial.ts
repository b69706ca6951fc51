import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** A driver that crashes takes the engine with it; after so many starts in a row that ended so it is left alone. */
const mostFailures = 2;

/**
 * Remembers on disk that a backend is being tried, until it has proved itself: a host that comes to the same place again
 * knows then that the one before it never got further.
 */
export class BackendTrial {
  constructor(
    private readonly file: string,
    private readonly log: (line: string) => void,
  ) {}

  /** Before the backend is loaded. False: it has failed too often, do not load it. */
  begin(): boolean {
    const failures = this.read();
    if (failures >= mostFailures) return false;
    try {
      mkdirSync(dirname(this.file), { recursive: true });
      writeFileSync(this.file, String(failures + 1));
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

  private read(): number {
    try {
      return Number(readFileSync(this.file, "utf8")) || 0;
    } catch {
      return 0;
    }
  }
}
