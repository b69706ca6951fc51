import { readFileSync, readdirSync } from "node:fs";
import { basename } from "node:path";

/** Whether the process was started with `name=value` in its environment; false when it is gone or not ours. */
function hasEnvironment(pid: number, name: string, value: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`${name}=${value}`);
  } catch {
    return false;
  }
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

function processesBelow(nmosHome: string, isWanted: (argument: string) => boolean): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => commandLine(pid).some(isWanted) && hasEnvironment(pid, "NMOS_HOME", nmosHome));
}

/**
 * Process ids of the engine hosts below one NMOS_HOME, seen from the operating system and not from what the
 * extension says of itself.
 */
export function engineHosts(nmosHome: string): number[] {
  return processesBelow(nmosHome, (argument) => argument.endsWith("/engine_host.cjs"));
}

/** Process ids of VS Code's extension hosts below one NMOS_HOME. */
export function extensionHosts(nmosHome: string): number[] {
  return processesBelow(nmosHome, (argument) => argument === "--type=extensionHost");
}

/** Names of the engine's own libraries that a process has mapped, the addon included. */
export function mappedEngineLibraries(pid: number): string[] {
  const paths = readFileSync(`/proc/${pid}/maps`, "utf8").match(/\/\S+$/gm) ?? [];
  const names = paths.map((path) => basename(path));
  return [...new Set(names.filter((name) => /^(nmos\.node|lib(llama|ggml)[\w.-]*\.so)$/.test(name)))];
}
