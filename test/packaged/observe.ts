import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What came of one observation. */
export type Observation = { value: unknown } | { code: string; message: string };

export type Observations = Record<string, Observation>;

/** Files in the folder of a probe. */
export const inputFile = "input.json";
export const reportFile = "report.json";

/** What this probe was given. A probe is a program that is run on another system, with a folder as its only argument. */
export function probeInput(): unknown {
  return JSON.parse(readFileSync(join(probeFolder(), inputFile), "utf8"));
}

/**
 * Makes observations one after the other and writes what each saw into the probe's folder, after each, so that a crash
 * leaves those before it.
 */
export async function observe(observations: Record<string, () => unknown>): Promise<void> {
  const file = join(probeFolder(), reportFile);
  const report: Observations = {};
  for (const [name, look] of Object.entries(observations)) {
    report[name] = await observed(look);
    writeFileSync(`${file}.new`, JSON.stringify(report));
    renameSync(`${file}.new`, file);
  }
}

function probeFolder(): string {
  const folder = process.argv[2];
  if (folder === undefined) throw new Error(`Expected a folder with ${inputFile} as the argument.`);
  return folder;
}

async function observed(look: () => unknown): Promise<Observation> {
  try {
    return { value: (await look()) ?? null };
  } catch (thrown) {
    const { code, message } = thrown as { code?: unknown; message?: unknown };
    return { code: typeof code === "string" ? code : "", message: String(message ?? thrown) };
  }
}
