import { EngineError } from "../shared/errors";

/** Waits for `action`, but no longer than until the signal is aborted: then throws `CANCELLED`, and the action goes on. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
  const cancelled = () => new EngineError("CANCELLED", "The request was cancelled.");
  if (signal?.aborted) throw cancelled();
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
