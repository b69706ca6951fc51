import { existsSync, readFileSync } from "node:fs";
import { EngineError } from "../../src/shared/errors";

/** A line of a file cut at a column: what is left of the line is to be suggested. */
export interface CompletionCase {
  file: string;
  prefix: string;
  suffix: string;
  /** The rest of the cursor's line. */
  expected: string;
}

const variable = "NMOS_BENCH_CASES";

/** So many cases from all over the file that the environment names, one JSON object a line. */
export function readCases(count: number): CompletionCase[] {
  const path = process.env[variable];
  if (path === undefined || !existsSync(path)) {
    throw new EngineError(
      "INVALID_ARGUMENT",
      `Expected ${variable} to name a file with a JSON object {file, prefix, suffix, expected} on each line, got ${String(path)}.`,
    );
  }
  const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
  const step = Math.max(1, Math.floor(lines.length / count));
  return lines
    .filter((_, index) => index % step === 0)
    .slice(0, count)
    .map((line) => JSON.parse(line) as CompletionCase);
}

const languages: Readonly<Record<string, string>> = { ts: "typescript", py: "python", cpp: "cpp" };

/** As VS Code calls it. */
export function languageOf(file: string): string {
  return languages[file.slice(file.lastIndexOf(".") + 1)] ?? "plaintext";
}

/** How much of the expected text a suggestion has before the first difference, from 0 to 1; 1 only for all of it. */
export function matchedShare(suggestion: string, expected: string): number {
  const line = (suggestion.split("\n")[0] ?? "").trimEnd();
  const wanted = expected.trimEnd();
  if (line === wanted) return 1;
  let same = 0;
  while (same < line.length && same < wanted.length && line[same] === wanted[same]) same += 1;
  // One that goes on where the line ends is wrong, too.
  return Math.min(same / Math.max(1, wanted.length), 0.99);
}
