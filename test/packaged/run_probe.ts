import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { expect } from "vitest";
import { inputFile, reportFile, type Observations } from "./observe";
import type { Ending, WindowsMachine } from "./windows_machine";

export interface Probe {
  /** Name of its source in this folder, without the ending. */
  name: string;
  /** What it is given; paths as its system names them. */
  input: unknown;
  /** Folder for its files, on this machine. */
  folder: string;
}

/** Runs a probe on Windows. `workIn` is the folder it works in and the first one on the PATH. */
export async function probeOnWindows(machine: WindowsMachine, probe: Probe, workIn: string): Promise<Observations> {
  const script = await bundled(probe);
  return report(
    probe,
    await machine.run(
      [script, probe.folder].map((path) => machine.pathOf(path)),
      workIn,
    ),
  );
}

/** Runs a probe in this machine's own Node. */
export async function probeHere(probe: Probe): Promise<Observations> {
  const script = await bundled(probe);
  const child = spawn(process.execPath, [script, probe.folder], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += String(chunk)));
  const status = await new Promise<number | null>((ended, reject) => {
    child.on("error", reject);
    child.on("close", ended);
  });
  return report(probe, { status, output });
}

async function bundled({ name, input, folder }: Probe): Promise<string> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, inputFile), JSON.stringify(input));
  const outfile = join(folder, `${name}.cjs`);
  const options = { bundle: true, platform: "node", target: "node20", format: "cjs", logLevel: "warning" } as const;
  await build({ ...options, entryPoints: [resolve("test/packaged", `${name}.ts`)], outfile });
  return outfile;
}

function report({ folder }: Probe, ending: Ending): Observations {
  const file = join(folder, reportFile);
  const seen = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Observations) : {};
  const last = Object.keys(seen).at(-1);
  expect({ status: ending.status, last }, ending.output).toEqual({ status: 0, last: "the end" });
  return seen;
}
