import { statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { tryProcessLock, type ProcessLock } from "../process_lock";
import { cancelledDownload } from "./cancelled";
import { writeError } from "./disk_space";
import type { FileProgress } from "./downloader";
import { PartialFile } from "./partial_file";
import { pause } from "./retry";

const lockPollMs = 500;

/** Waits until no other process downloads the file. Fails with `CANCELLED`. `elsewhere` is as of `writeError`. */
export async function lockForDownload(
  target: string,
  totalBytes: number,
  signal: AbortSignal,
  onProgress: (progress: FileProgress) => void,
  elsewhere?: string,
): Promise<ProcessLock> {
  for (;;) {
    const lock = await tryDownloadLock(target, elsewhere);
    if (lock) return lock;
    const receivedBytes = new PartialFile(target).size;
    const message = "another process downloads this file";
    onProgress({ phase: "waiting", receivedBytes, totalBytes, bytesPerSecond: 0, message });
    try {
      await pause(lockPollMs, signal);
    } catch (thrown) {
      throw cancelledDownload(thrown);
    }
  }
}

/** Null when another process downloads the file. */
export async function tryDownloadLock(target: string, elsewhere?: string): Promise<ProcessLock | null> {
  try {
    await mkdir(dirname(target), { recursive: true });
    return tryProcessLock(`${target}.lock`);
  } catch (thrown) {
    throw writeError(thrown, target, elsewhere) ?? thrown;
  }
}

/** Size of a file in bytes; null when there is none. */
export function sizeOf(path: string): number | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() ? stat.size : null;
}
