import { stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { EngineError } from "../../shared/errors";

/** Free bytes of the disk that holds a folder; null when the file system does not tell. */
export type FreeBytes = (directory: string) => Promise<number | null>;

/** Room that stays free on the disk. */
const marginBytes = 200 * 2 ** 20;

/** How to put a model somewhere else; other files have their own place. */
const modelsElsewhere = " or choose another folder (nmos.engine.modelsDirectory)";

const fullCodes = new Set(["ENOSPC", "EDQUOT"]);
const refusedCodes = new Set(["EACCES", "EPERM", "EROFS", "EEXIST", "ENOTDIR", "ENOENT", "EBUSY"]);

/** Of a folder that is not there yet, the disk is that of the nearest one above it that is. */
export async function freeBytesOf(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch (thrown) {
    const parent = dirname(directory);
    const isMissing = (thrown as NodeJS.ErrnoException).code === "ENOENT";
    return isMissing && parent !== directory ? freeBytesOf(parent) : null;
  }
}

/** Fails with DISK_FULL when so many bytes more do not fit beside `target`. */
export async function ensureRoom(
  target: string,
  neededBytes: number,
  freeBytes: FreeBytes,
  elsewhere = modelsElsewhere,
): Promise<void> {
  const free = await freeBytes(dirname(target));
  if (free === null || free >= neededBytes + marginBytes) return;
  const why = ` It needs ${formatMebibytes(neededBytes + marginBytes)}, but ${formatMebibytes(free)} are free.`;
  throw diskFull(target, why, elsewhere);
}

/** Of one file among several. */
export interface RoomNeed {
  /** Path of the file. */
  target: string;
  bytes: number;
  /** As of `ensureRoom`. */
  elsewhere?: string;
}

/** Fails with DISK_FULL when files do not fit together, on the disks that their folders are on. Names the largest one. */
export async function ensureRoomForAll(needs: readonly RoomNeed[], freeBytes: FreeBytes): Promise<void> {
  const disks = new Map<string, RoomNeed[]>();
  for (const need of needs) {
    const disk = await diskOf(dirname(need.target));
    disks.set(disk, [...(disks.get(disk) ?? []), need]);
  }
  for (const together of disks.values()) {
    const bytes = together.reduce((sum, need) => sum + need.bytes, 0);
    const [largest] = together.toSorted((a, b) => b.bytes - a.bytes);
    if (largest) await ensureRoom(largest.target, bytes, freeBytes, largest.elsewhere);
  }
}

/** Tells disks apart; one that does not tell is taken for a disk of its own. */
async function diskOf(directory: string): Promise<string> {
  try {
    return String((await stat(directory)).dev);
  } catch (thrown) {
    const parent = dirname(directory);
    const isMissing = (thrown as NodeJS.ErrnoException).code === "ENOENT";
    return isMissing && parent !== directory ? diskOf(parent) : directory;
  }
}

/** What the system says when a file cannot be written, as an error that says what to do; null for other errors. */
export function writeError(thrown: unknown, target: string, elsewhere = modelsElsewhere): EngineError | null {
  const code = (thrown as NodeJS.ErrnoException | null)?.code ?? "";
  if (fullCodes.has(code)) return diskFull(target, "", elsewhere);
  // FAT32 holds no file above 4 GiB.
  if (code === "EFBIG") {
    return diskFull(target, " The file system of this folder holds no file that large.", elsewhere);
  }
  if (!refusedCodes.has(code)) return null;
  return new EngineError(
    "DOWNLOAD_FAILED",
    `${target} cannot be written (${code}). Check the permissions of its folder${elsewhere}.`,
    { cause: thrown },
  );
}

function diskFull(target: string, why: string, elsewhere: string): EngineError {
  return new EngineError("DISK_FULL", `There is no room for ${target}.${why} Free some space${elsewhere}.`);
}

/** `12 MiB`, rounded up. */
export function formatMebibytes(bytes: number): string {
  return `${String(Math.ceil(bytes / 2 ** 20))} MiB`;
}
