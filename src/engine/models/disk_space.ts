import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { EngineError } from "../../shared/errors";

/** Free bytes of the disk that holds a folder; null when the file system does not tell. */
export type FreeBytes = (directory: string) => Promise<number | null>;

/** Room that stays free on the disk. */
const marginBytes = 200 * 2 ** 20;

const fullCodes = new Set(["ENOSPC", "EDQUOT"]);
const refusedCodes = new Set(["EACCES", "EPERM", "EROFS", "EEXIST", "ENOTDIR", "ENOENT", "EBUSY"]);

export async function freeBytesOf(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** Fails with DISK_FULL when so many bytes more do not fit beside `target`. */
export async function ensureRoom(target: string, neededBytes: number, freeBytes: FreeBytes): Promise<void> {
  const free = await freeBytes(dirname(target));
  if (free === null || free >= neededBytes + marginBytes) return;
  throw diskFull(target, ` It needs ${mebibytes(neededBytes + marginBytes)}, but ${mebibytes(free)} are free.`);
}

/** What the system says when a file cannot be written, as an error that says what to do; null for other errors. */
export function writeError(thrown: unknown, target: string): EngineError | null {
  const code = (thrown as NodeJS.ErrnoException | null)?.code ?? "";
  if (fullCodes.has(code)) return diskFull(target, "");
  // FAT32 holds no file above 4 GiB.
  if (code === "EFBIG") return diskFull(target, " The file system of this folder holds no file that large.");
  if (!refusedCodes.has(code)) return null;
  return new EngineError(
    "DOWNLOAD_FAILED",
    `${target} cannot be written (${code}). Check the permissions of its folder or choose another one (nmos.engine.modelsDirectory).`,
    { cause: thrown },
  );
}

function diskFull(target: string, why: string): EngineError {
  return new EngineError(
    "DISK_FULL",
    `There is no room for ${target}.${why} Free some space or choose another folder (nmos.engine.modelsDirectory).`,
  );
}

function mebibytes(bytes: number): string {
  return `${String(Math.ceil(bytes / 2 ** 20))} MiB`;
}
