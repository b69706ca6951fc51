import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
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

/**
 * Starts an engine host that outlives this process. The host writes its log itself; its standard error goes to the same
 * file, so that even the last words of a crash in the native code are kept.
 */
export function startHostProcess({ extensionRoot, logFile, execPath, env }: HostProcessOptions): HostProcess {
  const log = openLog(logFile);
  const host: { ended: HostProcess["ended"] } = { ended: null };
  try {
    const child = spawn(execPath, [join(extensionRoot, "dist", "engine_host.cjs"), "--extension-root", extensionRoot], {
      detached: true,
      windowsHide: true,
      stdio: ["ignore", log ?? "ignore", log ?? "ignore"],
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
    if (log !== null) closeSync(log);
  }
  return host;
}

/** Null when the log cannot be written (a full disk, a folder without rights): the engine works without one. */
function openLog(logFile: string): number | null {
  try {
    mkdirSync(dirname(logFile), { recursive: true });
    return openSync(logFile, "a", 0o600);
  } catch {
    return null;
  }
}

/** The last lines of the log, for an error message. */
export function logTail(logFile: string, lines: number): string {
  try {
    return readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "";
  }
}
