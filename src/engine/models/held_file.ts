/** Files that somebody may hold for a moment: on Windows a virus scanner opens every new file, which nobody can rename or write to then. */
import { open, rename } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

const usualAttempts = 20;
const heldCodes = new Set(["EPERM", "EACCES", "EBUSY"]);

export interface Patience {
  /** Default: for two seconds. */
  attempts?: number;
  pauseMs?: number;
}

/** Does something with a file, again and again while the system says that somebody holds it. Fails with the system's errors. */
export async function patiently<T>(
  work: () => Promise<T>,
  { attempts = usualAttempts, pauseMs = 100 }: Patience = {},
): Promise<T> {
  for (let attempt = 1; ; ++attempt) {
    try {
      return await work();
    } catch (thrown) {
      if (attempt === attempts || !heldCodes.has((thrown as NodeJS.ErrnoException).code ?? "")) throw thrown;
      await delay(pauseMs);
    }
  }
}

export function renamePatiently(from: string, to: string, patience?: Patience): Promise<void> {
  return patiently(() => rename(from, to), patience);
}

/** Resolves when the bytes of a file have reached the disk: a power cut must not spoil it. */
export async function syncPatiently(path: string): Promise<void> {
  const file = await patiently(() => open(path, "r+"));
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
