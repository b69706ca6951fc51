import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, win32 } from "node:path";
import type { NvidiaCard } from "../../shared/packs";

/** What the search depends on; injected by tests. */
export interface NvidiaProbe {
  platform: NodeJS.Platform;
  env: Readonly<Record<string, string | undefined>>;
  exists: (path: string) => boolean;
  /** Null when there is no such file. */
  read: (path: string) => string | null;
  /** Standard output of a program; null when it fails or hangs. */
  run: (program: string, args: readonly string[]) => Promise<string | null>;
}

const queries = [
  "name,driver_version,uuid,compute_cap,memory.total,memory.free",
  "name,driver_version,uuid,memory.total",
];

/** Where drivers put their program. A PATH could lead into somebody's project. */
const unixPrograms = [
  "/usr/bin/nvidia-smi",
  "/usr/lib/wsl/lib/nvidia-smi",
  "/run/current-system/sw/bin/nvidia-smi",
  "/usr/local/bin/nvidia-smi",
  "/opt/bin/nvidia-smi",
];

const longestAnswerMs = 10_000;

/**
 * NVIDIA's cards and their driver, without loading it: as nvidia-smi tells them, and on Linux without that as the kernel's
 * module does, which knows neither memory nor compute capability. None where there is no driver.
 */
export async function findNvidiaCards(probe: NvidiaProbe = thisMachine()): Promise<NvidiaCard[]> {
  const program = programsOf(probe).find(probe.exists);
  // Drivers before 510 do not know compute_cap.
  for (const query of program === undefined ? [] : queries) {
    const output = await probe.run(program ?? "", [`--query-gpu=${query}`, "--format=csv,noheader,nounits"]);
    const cards = output === null ? [] : parseCards(output, query.split(","));
    if (cards.length > 0) return cards;
  }
  const version = probe.platform === "linux" ? probe.read("/proc/driver/nvidia/version") : null;
  const driver = /\b(\d+\.\d+(?:\.\d+)?)\b/.exec(version ?? "")?.[1];
  return driver === undefined
    ? []
    : [{ name: "NVIDIA card", driver, capability: null, uuid: null, memoryBytes: null, freeBytes: null }];
}

/** Lines of nvidia-smi's CSV without header and units. What a driver does not tell stands in brackets there. */
export function parseCards(output: string, fields: readonly string[]): NvidiaCard[] {
  return output.split(/\r?\n/).flatMap((line) => {
    const values = line.split(",").map((value) => value.trim());
    if (values.length !== fields.length) return [];
    const of = (field: string): string => values[fields.indexOf(field)] ?? "";
    const driver = of("driver_version");
    if (!/^\d+(\.\d+)+$/.test(driver)) return [];
    const bytes = (field: string) => (/^\d+$/.test(of(field)) ? Number(of(field)) * 2 ** 20 : null);
    const capability = /^\d+\.\d$/.test(of("compute_cap")) ? of("compute_cap") : null;
    const uuid = /^GPU-[0-9a-f-]+$/i.test(of("uuid")) ? of("uuid") : null;
    const [memoryBytes, freeBytes] = [bytes("memory.total"), bytes("memory.free")];
    return [{ name: of("name"), driver, capability, uuid, memoryBytes, freeBytes }];
  });
}

function programsOf({ platform, env }: NvidiaProbe): string[] {
  if (platform === "linux") return unixPrograms;
  if (platform !== "win32") return [];
  const system = env["SystemRoot"] ?? "C:\\Windows";
  const programs = env["ProgramFiles"] ?? "C:\\Program Files";
  return [
    win32.join(system, "System32", "nvidia-smi.exe"),
    win32.join(programs, "NVIDIA Corporation", "NVSMI", "nvidia-smi.exe"),
  ];
}

function thisMachine(): NvidiaProbe {
  return {
    platform: process.platform,
    env: process.env,
    exists: existsSync,
    read: (path) => {
      try {
        return readFileSync(path, "utf8");
      } catch {
        return null;
      }
    },
    run: (program, args) => runBriefly(program, args, longestAnswerMs),
  };
}

/**
 * Standard output of a program; null when it fails or takes longer than `longestMs`. A program that hangs in its driver
 * cannot even be killed: then it is left alone, and this process may end before it.
 */
export function runBriefly(program: string, args: readonly string[], longestMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const options = { cwd: dirname(program), windowsHide: true };
    const child = execFile(program, [...args], options, (failure, output) => {
      clearTimeout(hung);
      resolve(failure ? null : output);
    });
    const hung = setTimeout(() => {
      child.kill("SIGKILL");
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      resolve(null);
    }, longestMs);
  });
}
