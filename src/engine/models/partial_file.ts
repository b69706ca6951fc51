import { rmSync, statSync, readFileSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";

interface PartialState {
  etag: string | null;
  totalBytes: number;
}

/** The bytes of an unfinished download beside the target, with what is needed to resume it. */
export class PartialFile {
  readonly path: string;
  private readonly statePath: string;

  constructor(private readonly target: string) {
    this.path = `${target}.part`;
    this.statePath = `${target}.part.json`;
  }

  /** Bytes on disk; 0 when there is nothing to resume. */
  get size(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
  }

  get state(): PartialState | null {
    try {
      const state = JSON.parse(readFileSync(this.statePath, "utf8")) as Partial<PartialState>;
      return typeof state.totalBytes === "number" ? { totalBytes: state.totalBytes, etag: state.etag ?? null } : null;
    } catch {
      return null;
    }
  }

  /** Remembers which file the bytes belong to. Bytes of another one are dropped. */
  begin(state: PartialState, keep: boolean): void {
    if (!keep) rmSync(this.path, { force: true });
    writeFileSync(this.statePath, JSON.stringify(state));
  }

  discard(): void {
    rmSync(this.path, { force: true });
    rmSync(this.statePath, { force: true });
  }

  /** Gives the finished file its name, at once. */
  async complete(): Promise<void> {
    await rename(this.path, this.target);
    rmSync(this.statePath, { force: true });
  }
}
