import { setTimeout as delay } from "node:timers/promises";

/**
 * Polls until `read` gives a value that `accept` takes and resolves with it. After `patience` milliseconds (a limit
 * for hangs, not for speed) it fails, naming what was expected and what was there last.
 */
export async function until<T>(
  expectation: string,
  read: () => T | Promise<T>,
  accept: (value: T) => boolean,
  patience = 120_000,
): Promise<T> {
  const deadline = Date.now() + patience;
  for (;;) {
    const value = await read();
    if (accept(value)) return value;
    if (Date.now() > deadline) throw new Error(`expected ${expectation}, got ${JSON.stringify(value)}`);
    await delay(100);
  }
}
