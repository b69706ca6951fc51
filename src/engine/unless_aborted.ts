import { EngineError } from "../shared/errors";

/** Throws `CANCELLED` when the signal was aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled();
}

/** Waits for `action`, but no longer than until the signal is aborted: then throws `CANCELLED`, and the action goes on. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
  throwIfAborted(signal);
  const result = action();
  if (!signal) return result;
  return new Promise<T>((resolve, reject) => {
    const abort = () => {
      reject(cancelled());
    };
    signal.addEventListener("abort", abort, { once: true });
    result.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", abort);
    });
  });
}

function cancelled(): EngineError {
  return new EngineError("CANCELLED", "The request was cancelled.");
}
