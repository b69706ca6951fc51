import { it } from "vitest";

/** `timeout` in milliseconds; default: that of the project. */
type Register = (name: string, run: () => void | Promise<void>, timeout?: number) => void;

/**
 * `it` for what only some systems have. Elsewhere there is no such test: one that is skipped counts as one that could not be
 * run, which is a failure in CI. Not alone in a suite, which may not be empty.
 */
function itWhere(applies: boolean): Register {
  if (!applies) return () => undefined;
  return (name, run, timeout) => {
    it(name, run, timeout);
  };
}

/** Windows has neither modes of files nor signals, and a pipe is no file. */
export const itOnPosix = itWhere(process.platform !== "win32");

export const itOnLinux = itWhere(process.platform === "linux");
