import { createHash } from "node:crypto";
import { createWriteStream, type WriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { EngineError } from "../../shared/errors";
import { abandonFile } from "./abandon_file";
import { cancelledDownload } from "./cancelled";
import { ensureRoom, writeError, type FreeBytes } from "./disk_space";
import { sizeOf } from "./download_lock";
import type { FileProgress } from "./downloader";
import { readError, type FileSource } from "./file_source";
import { renamePatiently } from "./held_file";
import { PartialFile } from "./partial_file";

/** Where a copy lies until it is complete. */
function arrivingOf(target: string): string {
  return `${target}.arriving`;
}

/** Bytes on the disk that `makeRoom` may free: of a copy whose process was killed, and of a download that was begun. */
export function leftBytes(target: string): number {
  return (sizeOf(arrivingOf(target)) ?? 0) + new PartialFile(target).size;
}

/**
 * As `ensureRoom`, but removes before what a killed process has left of a copy, and the download that was begun, if its room is
 * needed. The caller locks the target.
 */
export async function makeRoom(
  target: string,
  neededBytes: number,
  freeBytes: FreeBytes,
  elsewhere?: string,
): Promise<void> {
  const partial = new PartialFile(target);
  try {
    await rm(arrivingOf(target), { force: true });
    try {
      await ensureRoom(target, neededBytes, freeBytes, elsewhere);
    } catch (thrown) {
      if (partial.size === 0) throw thrown;
      partial.discard();
      await ensureRoom(target, neededBytes, freeBytes, elsewhere);
    }
  } catch (thrown) {
    throw writeError(thrown, target, elsewhere) ?? thrown;
  }
}

/** A file whose checksum is known. */
interface KnownFile {
  name: string;
  sizeBytes: number;
  sha256: string;
}

/**
 * Copies a file to `target`, which takes its name only when the checksum was right. Fails with `CHECKSUM_MISMATCH`,
 * `DISK_FULL`, `DOWNLOAD_FAILED` or, when aborted, `CANCELLED`, and leaves nothing then. A download that was begun goes. The
 * caller locks the target.
 */
export async function copyChecked(
  source: FileSource,
  target: string,
  { sizeBytes, sha256, name }: KnownFile,
  options: {
    signal: AbortSignal;
    onProgress: (progress: FileProgress) => void;
    freeBytes: FreeBytes;
    /** As of `writeError`. */
    elsewhere?: string;
  },
): Promise<void> {
  const { signal, onProgress, freeBytes, elsewhere } = options;
  if (source.path !== null && resolve(source.path) === resolve(target)) return;
  await makeRoom(target, sizeBytes, freeBytes, elsewhere);
  const arriving = arrivingOf(target);
  const hash = createHash("sha256");
  let receivedBytes = 0;
  const watch = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk);
      receivedBytes += chunk.length;
      onProgress({ phase: "verifying", receivedBytes, totalBytes: sizeBytes, bytesPerSecond: 0 });
      done(null, chunk);
    },
  });
  // Of several streams that fail, the first one is to blame.
  const failed: { first: "reading" | "writing" | null } = { first: null };
  let file: WriteStream | null = null;
  try {
    const bytes = await source.open();
    bytes.once("error", () => (failed.first ??= "reading"));
    file = createWriteStream(arriving, { flush: true });
    file.once("error", () => (failed.first ??= "writing"));
    await pipeline(bytes, watch, file, { signal });
    const actual = hash.digest("hex");
    if (actual !== sha256) {
      throw new EngineError(
        "CHECKSUM_MISMATCH",
        `${source.label} has the SHA-256 ${actual}, but ${name} has ${sha256}: it is damaged or something else.`,
      );
    }
    await renamePatiently(arriving, target);
  } catch (thrown) {
    await abandonFile(arriving, file);
    if (signal.aborted) throw cancelledDownload(thrown);
    if (failed.first === "reading") throw readError(thrown, source);
    throw writeError(thrown, target, elsewhere) ?? thrown;
  }
  try {
    new PartialFile(target).discard();
  } catch {
    // It only takes room, and the file is complete.
  }
}
