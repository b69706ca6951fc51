import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { renamePatiently, syncPatiently } from "./held_file";

/** Which file the bytes on disk belong to. */
export interface PartialState {
  /** Checksum the finished file will have. */
  sha256: string;
  /** Where the bytes came from: a validator means nothing to another server. */
  url: string;
  /** The server's validator of the bytes. */
  etag: string | null;
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

  /** Null when the state is missing or unreadable: the bytes are then of no use. */
  get state(): PartialState | null {
    try {
      const { sha256, url, etag } = JSON.parse(readFileSync(this.statePath, "utf8")) as Partial<PartialState>;
      return typeof sha256 === "string" && typeof url === "string" ? { sha256, url, etag: etag ?? null } : null;
    } catch {
      return null;
    }
  }

  /**
   * Opens the file for writing from `start` on and remembers where the bytes come from. What lies behind `start` is cut
   * off; the caller closes the handle.
   */
  async openAt(start: number, state: PartialState): Promise<FileHandle> {
    const file = await open(this.path, start > 0 ? "r+" : "w");
    try {
      if (start > 0) await file.truncate(start);
      writeFileSync(this.statePath, JSON.stringify(state));
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
    return file;
  }

  discard(): void {
    rmSync(this.path, { force: true });
    rmSync(this.statePath, { force: true });
  }

  /** Gives the finished file its name, at once, after its bytes have reached the disk. */
  async complete(): Promise<void> {
    await syncPatiently(this.path);
    await renamePatiently(this.path, this.target);
    rmSync(this.statePath, { force: true });
  }
}
