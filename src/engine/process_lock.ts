import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Disposable } from "../shared/disposable";

/**
 * A lock that one process of the user holds until it ends: a file that identifies the holder, made complete and at
 * once by linking. A lock whose process is gone is taken over; taking over renames it first, so that of two processes
 * that find the same dead lock only one removes it.
 */
export interface ProcessLock extends Disposable {
  /** False when another process has taken the lock over although this one lives (somebody deleted the file). */
  stillHeld(): boolean;
}

/** The lock, or null when a living process holds it. */
export function tryProcessLock(path: string): ProcessLock | null {
  const own = identityOf(process.pid);
  for (let attempt = 0; attempt < 10; ++attempt) {
    if (createLinked(path, own)) {
      return {
        stillHeld: () => read(path) === own,
        dispose: () => {
          if (read(path) === own) rmSync(path, { force: true });
        },
      };
    }
    const holder = read(path);
    if (holder === null) continue;
    if (isAlive(holder)) return null;
    removeDead(path, holder);
  }
  return null;
}

function createLinked(path: string, content: string): boolean {
  const scratch = `${path}.${String(process.pid)}`;
  writeFileSync(scratch, content, { mode: 0o600 });
  try {
    linkSync(scratch, path);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw thrown;
  } finally {
    rmSync(scratch, { force: true });
  }
}

function removeDead(path: string, holder: string): void {
  const aside = `${path}.dead-${String(process.pid)}`;
  try {
    renameSync(path, aside);
    // Somebody was faster and holds the lock by now: give it back.
    if (readFileSync(aside, "utf8") !== holder) linkSync(aside, path);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== "ENOENT" && code !== "EEXIST") throw thrown;
  } finally {
    rmSync(aside, { force: true });
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Whether the process that wrote this identity still lives. */
function isAlive(identity: string): boolean {
  const pid = Number(identity.split(" ")[0]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return identityOf(pid) === identity;
}

/**
 * A process id and, where the system tells it, the time the process began: ids are used again, above all after a
 * restart of the machine.
 */
function identityOf(pid: number): string {
  const stat = read(`/proc/${String(pid)}/stat`);
  // The second field is the program's name in brackets and may hold blanks; the begin is field 22.
  const began = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return began === undefined ? String(pid) : `${String(pid)} ${began}`;
}
