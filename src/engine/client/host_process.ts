import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

export interface HostProcessOptions {
  extensionRoot: string;
  logFile: string;
  /** Folder the host works in. */
  directory: string;
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
export function startHostProcess({
  extensionRoot,
  logFile,
  directory,
  execPath,
  env,
}: HostProcessOptions): HostProcess {
  const log = openLog(logFile);
  const host: { ended: HostProcess["ended"] } = { ended: null };
  try {
    const root = resolve(extensionRoot);
    const child = spawn(execPath, [resolve(root, "dist", "engine_host.cjs"), "--extension-root", root], {
      detached: true,
      windowsHide: true,
      stdio: ["ignore", log ?? "ignore", log ?? "ignore"],
      // Windows lets nobody delete or rename the folder a process works in, and the window's is the user's project.
      cwd: directory,
      env: hostEnvironment(env),
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

/** Variables that name a file, perhaps relative to the window's folder. */
const pathVariables = ["NMOS_HOME", "NMOS_ADDON"];

/**
 * The host serves every window and outlives the one that starts it: what that one was given to debug it, or to reach its
 * own VS Code, is none of the host's.
 */
function hostEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env)
    .filter(([name]) => !/^(?:NODE_OPTIONS$|VSCODE_)/i.test(name))
    .map(([name, value]) => [name, value && pathVariables.includes(name) ? resolve(value) : value] as const);
  return { ...Object.fromEntries(kept), ELECTRON_RUN_AS_NODE: "1" };
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
