/**
 * `artifacts/package_report.json`: figures of the packaged extension that the test command measures, for people and for
 * CI to keep. They are reported and never asserted: how fast something is depends on the machine.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

const file = "artifacts/package_report.json";

export interface PackageReport {
  /** Packages by the platform they are for. */
  vsix: Partial<Record<string, { file: string; bytes: number }>>;
  activation: {
    /** Milliseconds, of all windows: VS Code's own figure, which counts loading the code and calling `activate`. */
    medianMs: number;
    samplesMs: number[];
    /** VS Code's own Git extension in the same windows: what the machine made of a known piece of work. */
    gitMedianMs: number;
    targetMs: number;
    /** Of the machine while it was measured: with more processes than cores everything takes longer. */
    cores: number;
    loadAverage: number;
    measured: string;
  };
}

/** A report with a part of it replaced; of packages, only those that are named. */
export function withPart(before: Partial<PackageReport>, part: Partial<PackageReport>): Partial<PackageReport> {
  return { ...before, ...part, ...(part.vsix ? { vsix: { ...before.vsix, ...part.vsix } } : {}) };
}

/** Replaces a part of the report and prints it. */
export function reportPackage(part: Partial<PackageReport>): void {
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Partial<PackageReport>) : {};
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(withPart(before, part), undefined, 2)}\n`);
  for (const [name, figures] of Object.entries(part)) console.log(`${name}: ${JSON.stringify(figures)}`);
}
