import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { Disposable } from "../shared/disposable";
import { isAlive, ownIdentity } from "./process_identity";

/**
 * A lock that one process of the user holds until it ends: a file with the holder's identity, made complete and at
 * once by linking. A lock whose process is gone is taken over. Only who holds a second lock for that removes it: between
 * finding it dead and removing it, another process could have taken it over, whose living lock would go.
 */
export interface ProcessLock extends Disposable {
  /** False when another process has taken the lock over although this one lives (somebody deleted the file). */
  stillHeld(): boolean;
}

/** A file without content is being written on a file system without links, or its writer died; it lives so long. */
const writingMs = 2_000;

/** What a file system without hard links (exFAT, some network shares) answers to link(2). */
const noLinks = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EISDIR", "EINVAL"]);

/** The lock, or null when a living process holds it. */
export function tryProcessLock(path: string): ProcessLock | null {
  const own = ownIdentity();
  for (let attempt = 0; attempt < 10; ++attempt) {
    if (createWith(path, own)) {
      return {
        stillHeld: () => read(path) === own,
        dispose: () => {
          if (read(path) === own) rmSync(path, { force: true });
        },
      };
    }
    const holder = read(path);
    if (holder === null) continue;
    if (isAlive(holder) || (holder === "" && isFresh(path))) return null;
    removeDead(path, holder, own);
  }
  return null;
}

/** Process id of the living holder, or null. */
export function lockHolder(path: string): number | null {
  const holder = read(path);
  return holder !== null && isAlive(holder) ? Number(holder.split(" ")[0]) : null;
}

/** Creates the file with its content in one step; false when it exists. */
function createWith(path: string, content: string): boolean {
  const scratch = `${path}.${String(process.pid)}`;
  writeFileSync(scratch, content, { mode: 0o600 });
  try {
    linkSync(scratch, path);
    return true;
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? "";
    if (code === "EEXIST") return false;
    if (noLinks.has(code)) return createExclusively(path, content);
    throw thrown;
  } finally {
    rmSync(scratch, { force: true });
  }
}

function createExclusively(path: string, content: string): boolean {
  try {
    writeFileSync(path, content, { flag: "wx", mode: 0o600 });
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw thrown;
  }
}

function removeDead(path: string, holder: string, own: string): void {
  const right = `${path}.takeover`;
  if (createWith(right, own)) {
    try {
      if (read(path) === holder) remove(path);
    } finally {
      remove(right);
    }
    return;
  }
  const taker = read(right);
  // Whoever has it needs it for a moment only. This process has it no longer: a removal failed on it.
  const isHeld =
    taker === null || (taker !== own && isAlive(taker) && isFresh(right)) || (taker === "" && isFresh(right));
  if (isHeld) return;
  // Of several who find it left over, one gets hold of it.
  const aside = `${right}.${String(process.pid)}`;
  try {
    renameSync(right, aside);
  } catch {
    return;
  }
  remove(aside);
}

function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (thrown) {
    // On Windows, somebody reads it at this moment; the next attempt finds it again.
    const code = (thrown as NodeJS.ErrnoException).code ?? "";
    if (!["EPERM", "EBUSY", "EACCES"].includes(code)) throw thrown;
  }
}

function isFresh(path: string): boolean {
  const modified = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  return modified !== undefined && Date.now() - modified < writingMs;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
