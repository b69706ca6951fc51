import { readFileSync, readdirSync } from "node:fs";

/** Whether the process was started with `name=value` in its environment; false when it is gone or not ours. */
function hasEnvironment(pid: number, name: string, value: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`${name}=${value}`);
  } catch {
    return false;
  }
}

function runsScript(pid: number, script: string): boolean {
  try {
    const fields = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return fields.some((field) => field.endsWith(`/${script}`));
  } catch {
    return false;
  }
}

/**
 * Process ids of the engine hosts below one NMOS_HOME, seen from the operating system and not from what the
 * extension says of itself.
 */
export function engineHosts(nmosHome: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => runsScript(pid, "engine_host.cjs") && hasEnvironment(pid, "NMOS_HOME", nmosHome));
}
