import { appendFileSync, copyFileSync, mkdirSync, statSync, truncateSync } from "node:fs";
import { dirname } from "node:path";

export interface HostLogOptions {
  path: string;
  /** A file that has grown beyond this many bytes is moved to `<path>.old`, which replaces the one before. */
  maxBytes?: number;
}

const usualMaxBytes = 4 * 2 ** 20;

/**
 * The host's log, a line per event. Kept in two files. The file is copied and emptied in place, because the last words
 * of a crash in native code reach it through the process's standard error, which stays open on the same file. What
 * cannot be written (a full disk) is lost; logging never fails.
 */
export class HostLog {
  private bytes = 0;
  private readonly path: string;
  private readonly maxBytes: number;

  constructor({ path, maxBytes = usualMaxBytes }: HostLogOptions) {
    this.path = path;
    this.maxBytes = maxBytes;
    try {
      mkdirSync(dirname(path), { recursive: true });
      this.bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    } catch {
      // Without the folder every line is lost, which `write` takes.
    }
  }

  write(line: string): void {
    const text = `${new Date().toISOString()} [${String(process.pid)}] ${line.trimEnd()}\n`;
    try {
      if (this.bytes + Buffer.byteLength(text) > this.maxBytes) this.rotate();
      appendFileSync(this.path, text, { mode: 0o600 });
      this.bytes += Buffer.byteLength(text);
    } catch {
      // A log that cannot be written must not end the engine.
    }
  }

  private rotate(): void {
    this.bytes = 0;
    copyFileSync(this.path, `${this.path}.old`);
    truncateSync(this.path);
  }
}
