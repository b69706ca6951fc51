import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { win32 } from "node:path";

/**
 * What tells a process from every other one, also from a later one with the same id: its id and when it began. Ids are
 * used again, above all after a restart of the machine.
 *
 * `"<pid> <ticks>"` on Linux, clock ticks since the machine started, from /proc; `"<pid> <milliseconds>"` elsewhere,
 * milliseconds since the epoch.
 */
export type ProcessIdentity = string;

/** The system tells the begin of a process in whole seconds, and Node reads its own a little later. */
const toleranceMs = 10_000;

/** Identities that the system has confirmed: asking starts a program where there is no /proc. */
const confirmed = new Set<ProcessIdentity>();

export function ownIdentity(): ProcessIdentity {
  const began = process.platform === "linux" ? ticksOf(process.pid) : Math.round(performance.timeOrigin);
  return `${String(process.pid)} ${String(began)}`;
}

/** Whether the process of this identity still lives. What is no identity does not live. */
export function isAlive(identity: ProcessIdentity): boolean {
  const match = /^([1-9]\d*) (\d+)$/.exec(identity);
  if (!match) return false;
  const [pid, began] = [Number(match[1]), Number(match[2])];
  if (!processExists(pid)) return false;
  if (process.platform === "linux") return ticksOf(pid) === began;
  if (confirmed.has(identity)) return true;
  const actual = beganAt(pid);
  // A system that does not tell has to be believed about the id alone.
  const alive = actual === null || Math.abs(actual - began) <= toleranceMs;
  if (alive) confirmed.add(identity);
  return alive;
}

/** Whether a process has this id now, be it an earlier one's. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Clock ticks from the machine's start to the process's; null when there is no such process or it has ended. */
function ticksOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
    // proc(5): the second field is the program's name in brackets and may hold blanks; the state is field 3 and the
    // begin field 22. A zombie (Z) has ended and waits for its parent, in a container perhaps for ever.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : Number(fields[19]);
  } catch {
    return null;
  }
}

/**
 * The program that tells when a process began, by its whole path: Windows looks for one by name in the working folder
 * first, and a PATH may lead anywhere.
 */
export function clockOfProcesses(platform: NodeJS.Platform, env: Readonly<Record<string, string | undefined>>): string {
  if (platform !== "win32") return "/bin/ps";
  const system = env["SystemRoot"] ?? "C:\\Windows";
  return win32.join(system, "System32", "WindowsPowerShell", "v1.0", "powershell.exe");
}

/** When a process began, in milliseconds since the epoch; null when the system does not tell. */
function beganAt(pid: number): number | null {
  const program = clockOfProcesses(process.platform, process.env);
  const args =
    process.platform === "win32"
      ? [
          "-NoProfile",
          "-NonInteractive",
          "-Command",
          `([DateTimeOffset](Get-Process -Id ${String(pid)}).StartTime).ToUnixTimeMilliseconds()`,
        ]
      : ["-o", "lstart=", "-p", String(pid)];
  try {
    const output = execFileSync(program, args, {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 10_000,
      windowsHide: true,
    }).trim();
    const time = process.platform === "win32" ? Number(output) : Date.parse(output);
    return output !== "" && Number.isFinite(time) ? time : null;
  } catch {
    return null;
  }
}
