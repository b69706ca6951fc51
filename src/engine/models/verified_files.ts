import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "../../shared/errors";
import { sha256Of } from "./checksum";

interface Fingerprint {
  size: number;
  modifiedMs: number;
}

const indexName = "verified.json";

/**
 * Remembers which model files of a folder have been checked, by size and time of change, so that a checksum over
 * gigabytes is computed once and not with every start.
 */
export class VerifiedFiles {
  constructor(private readonly directory: string) {}

  /**
   * Makes sure that a file is what it should be. Fails with `CHECKSUM_MISMATCH`; the file is left alone, because it may
   * be the user's own.
   */
  async check({ file, sha256 }: { file: string; sha256: string | null }): Promise<void> {
    if (sha256 === null || this.isKnown(file)) return;
    const path = join(this.directory, file);
    const actual = await sha256Of(path);
    if (actual !== sha256) {
      throw new EngineError(
        "CHECKSUM_MISMATCH",
        `${path} has the SHA-256 ${actual}, expected ${sha256}: it is damaged or another model. Remove it and download it again.`,
      );
    }
    this.add(file);
  }

  add(file: string): void {
    this.write({ ...this.read(), [file]: this.fingerprint(file) });
  }

  forget(file: string): void {
    const index = this.read();
    if (!(file in index)) return;
    this.write(Object.fromEntries(Object.entries(index).filter(([name]) => name !== file)));
  }

  private isKnown(file: string): boolean {
    const known = this.read()[file];
    const now = this.fingerprint(file);
    return known?.size === now.size && known.modifiedMs === now.modifiedMs;
  }

  private fingerprint(file: string): Fingerprint {
    const { size, mtimeMs } = statSync(join(this.directory, file));
    return { size, modifiedMs: Math.floor(mtimeMs) };
  }

  private read(): Partial<Record<string, Fingerprint>> {
    try {
      return JSON.parse(readFileSync(join(this.directory, indexName), "utf8")) as Partial<Record<string, Fingerprint>>;
    } catch {
      return {};
    }
  }

  private write(index: Partial<Record<string, Fingerprint>>): void {
    const path = join(this.directory, indexName);
    writeFileSync(`${path}.new`, JSON.stringify(index, null, 2));
    renameSync(`${path}.new`, path);
  }
}
