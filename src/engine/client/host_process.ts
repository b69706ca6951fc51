import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

export interface HostProcessOptions {
  extensionRoot: string;
  logFile: string;
  /** Executable that runs Node code: `node`, or VS Code's own with ELECTRON_RUN_AS_NODE. */
  execPath: string;
  env: NodeJS.ProcessEnv;
}

export interface HostProcess {
  /** Null while it runs; its exit status, or the signal that ended it. */
  readonly ended: { code: number | null; signal: string | null } | null;
}

const largestLog = 4 * 2 ** 20;

/**
 * Starts an engine host that outlives this process. Its output goes to the log file, so that even the last words of a
 * crash in the native code are kept.
 */
export function startHostProcess({ extensionRoot, logFile, execPath, env }: HostProcessOptions): HostProcess {
  mkdirSync(dirname(logFile), { recursive: true });
  if (existsSync(logFile) && statSync(logFile).size > largestLog) renameSync(logFile, `${logFile}.old`);
  const log = openSync(logFile, "a", 0o600);
  const host: { ended: HostProcess["ended"] } = { ended: null };
  try {
    const child = spawn(execPath, [join(extensionRoot, "dist", "engine_host.cjs"), "--extension-root", extensionRoot], {
      detached: true,
      windowsHide: true,
      stdio: ["ignore", log, log],
      env: { ...env, ELECTRON_RUN_AS_NODE: "1" },
    });
    child.on("exit", (code, signal) => {
      host.ended = { code, signal };
    });
    child.on("error", () => {
      host.ended = { code: 1, signal: null };
    });
    child.unref();
  } finally {
    closeSync(log);
  }
  return host;
}

/** The last lines of the log, for an error message. */
export function logTail(logFile: string, lines: number): string {
  try {
    return readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "";
  }
}
