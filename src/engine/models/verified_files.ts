import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "../../shared/errors";
import { cancelledDownload } from "./cancelled";
import { sha256Of } from "./checksum";
import type { FileProgress } from "./downloader";

/** What a file looked like when its checksum was right. */
interface Mark {
  sha256: string;
  size: number;
  modifiedMs: number;
}

/** Of somebody who waits for a check and may give up. */
interface Watch {
  signal: AbortSignal;
  onProgress: (progress: FileProgress) => void;
}

type Index = Partial<Record<string, Mark>>;

const indexName = "verified.json";

/**
 * Remembers which model files of a folder have been checked, by size and time of change, so that a checksum over
 * gigabytes is computed once and not with every start. A file that changes is checked again.
 */
export class VerifiedFiles {
  private readonly running = new Map<string, Promise<void>>();
  private index: Index;

  constructor(
    private readonly directory: string,
    private readonly log: (line: string) => void,
  ) {
    this.index = this.read();
  }

  /**
   * Makes sure that a file is what it should be; callers of the same file share one computation, but for who watches it, whose
   * own is cancelled with `CANCELLED`. Fails with `CHECKSUM_MISMATCH`; the file is left alone, because it may be the user's own.
   */
  async check(file: string, sha256: string, watch?: Watch): Promise<void> {
    if (this.isKnown(file, sha256)) return;
    if (watch) return this.compute(file, sha256, watch);
    const key = `${sha256} ${file}`;
    const computing = this.running.get(key) ?? this.compute(file, sha256);
    this.running.set(key, computing);
    try {
      await computing;
    } finally {
      this.running.delete(key);
    }
  }

  /** Takes it from the caller that the file, as it is now, has this checksum. */
  add(file: string, sha256: string): void {
    this.put(file, this.markOf(file, sha256));
  }

  forget(file: string): void {
    if (this.index[file]) this.put(file, undefined);
  }

  private async compute(file: string, sha256: string, watch?: Watch): Promise<void> {
    const path = join(this.directory, file);
    const before = this.markOf(file, sha256);
    const actual = await (watch ? watchedSha256(path, before.size, watch) : sha256Of(path));
    if (actual !== sha256) {
      throw new EngineError(
        "CHECKSUM_MISMATCH",
        `${path} has the SHA-256 ${actual}, expected ${sha256}: it is damaged or another model. Remove it and download it again.`,
      );
    }
    this.put(file, before);
  }

  private isKnown(file: string, sha256: string): boolean {
    const known = this.index[file];
    const now = this.markOf(file, sha256);
    return known?.sha256 === sha256 && known.size === now.size && known.modifiedMs === now.modifiedMs;
  }

  private markOf(file: string, sha256: string): Mark {
    const { size, mtimeMs } = statSync(join(this.directory, file));
    return { sha256, size, modifiedMs: Math.floor(mtimeMs) };
  }

  private read(): Index {
    try {
      const index: unknown = JSON.parse(readFileSync(join(this.directory, indexName), "utf8"));
      return typeof index === "object" && index !== null ? index : {};
    } catch {
      return {};
    }
  }

  /** Other processes write the same index: only the one entry is changed. A folder that cannot be written to will do. */
  private put(file: string, mark: Mark | undefined): void {
    this.index = { ...this.index, ...this.read(), [file]: mark };
    const path = join(this.directory, indexName);
    const scratch = `${path}.${String(process.pid)}`;
    try {
      writeFileSync(scratch, JSON.stringify(this.index, null, 2));
      renameSync(scratch, path);
    } catch (thrown) {
      rmSync(scratch, { force: true });
      this.log(`the checked models cannot be recorded in ${path}: ${String(thrown)}`);
    }
  }
}

async function watchedSha256(path: string, totalBytes: number, { signal, onProgress }: Watch): Promise<string> {
  try {
    return await sha256Of(path, {
      signal,
      onProgress: (receivedBytes) => {
        onProgress({ phase: "verifying", receivedBytes, totalBytes, bytesPerSecond: 0 });
      },
    });
  } catch (thrown) {
    throw signal.aborted ? cancelledDownload(thrown) : thrown;
  }
}
