/** What a result was measured on and with: nothing here identifies a person or a path. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Machine {
  cpu: string;
  logicalCores: number;
  physicalCores: number;
  memoryGiB: number;
  os: string;
  /** Versions of what was measured, by name. */
  versions: Record<string, string>;
  /** Samples kept although other processes used the cores meanwhile; absent where nobody watched them. */
  disturbedSamples?: number;
}

export function describeMachine(versions: Record<string, string>, disturbedSamples?: number): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    logicalCores: cpus().length,
    physicalCores: physicalCores(),
    memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    // What a distributor or a host appends to the release of its kernel says who it is.
    os: `${platform()} ${release().replace(/-.*/, "")} ${arch()}`,
    versions: { node: process.versions.node, ...versions },
    ...(disturbedSamples === undefined ? {} : { disturbedSamples }),
  };
}

/** Cores without their hyper-threads: what llama.cpp and NMOS use as default number of threads. */
export function physicalCores(): number {
  try {
    if (process.platform === "linux") return distinctCores(readFileSync("/proc/cpuinfo", "utf8")) || cpus().length;
    if (process.platform === "darwin") {
      return Number(execFileSync("sysctl", ["-n", "hw.physicalcpu"], { encoding: "utf8" })) || cpus().length;
    }
    if (process.platform === "win32") {
      const command = "(Get-CimInstance Win32_Processor | Measure-Object NumberOfCores -Sum).Sum";
      const output = execFileSync("powershell.exe", ["-NoProfile", "-Command", command], { encoding: "utf8" });
      return Number(output) || cpus().length;
    }
    return cpus().length;
  } catch {
    return cpus().length;
  }
}

/** Counts the distinct pairs of `physical id` and `core id` in the text of /proc/cpuinfo; 0 when it names none. */
export function distinctCores(cpuinfo: string): number {
  const cores = new Set<string>();
  for (const processor of cpuinfo.split(/\n\s*\n/)) {
    const core = /^core id\s*:\s*(\d+)/m.exec(processor)?.[1];
    const socket = /^physical id\s*:\s*(\d+)/m.exec(processor)?.[1] ?? "0";
    if (core !== undefined) cores.add(`${socket}:${core}`);
  }
  return cores.size;
}

/** The commit measured; results themselves do not make it dirty, since a run rewrites them. */
export function describeCommit(): string {
  const git = (...args: string[]): string => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results");
    return git("rev-parse", "--short=12", "HEAD") + (changed === "" ? "" : "-dirty");
  } catch {
    return "unknown";
  }
}
