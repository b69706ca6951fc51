import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { Disposable } from "../../shared/disposable";

/**
 * A lock that one process of the user holds until it ends: a file with the holder's process id, made complete and at
 * once by linking. A lock whose process is gone is taken over; taking over renames it first, so that of two processes
 * that find the same dead lock only one removes it.
 */
export interface ProcessLock extends Disposable {
  /** False when another process has taken the lock over although this one lives (somebody deleted the file). */
  stillHeld(): boolean;
}

/** The lock, or null when a living process holds it. */
export function tryProcessLock(path: string): ProcessLock | null {
  const own = String(process.pid);
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
  const scratch = `${path}.${content}`;
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

/** Whether the process with this id lives and may be the holder: a process that started after a reboot is not. */
function isAlive(pid: string): boolean {
  const id = Number(pid);
  if (!Number.isInteger(id) || id <= 0) return false;
  try {
    process.kill(id, 0);
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EPERM";
  }
  return isEngineHost(id);
}

/** Process ids are used again. Where the system tells the command line, another program's process is no holder. */
function isEngineHost(pid: number): boolean {
  try {
    statSync("/proc/self");
    return readFileSync(`/proc/${String(pid)}/cmdline`, "utf8").includes("engine_host") || pid === process.pid;
  } catch {
    return process.platform !== "linux";
  }
}
