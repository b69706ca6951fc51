import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryCommand } from "./run_command";
import type { StepResult } from "./steps";

interface JsonReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  numFailedTestSuites: number;
}

/** Runs one project of vitest.config.ts and counts its tests. */
export async function runVitest(project: string): Promise<StepResult> {
  const scratch = mkdtempSync(join(tmpdir(), "nmos-vitest-"));
  const file = join(scratch, "report.json");
  try {
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
    const status = await tryCommand("npx", ["vitest", "run", "--project", project, ...reporters]);
    if (!existsSync(file)) throw new Error(`vitest ended with status ${status} and without a report`);
    const report = JSON.parse(readFileSync(file, "utf8")) as JsonReport;
    const notRun = report.numPendingTests + report.numTodoTests;
    // A file that cannot even be imported has no failed test, and an error outside of tests fails the run alone.
    const failed = report.numFailedTests || (status === 0 ? 0 : Math.max(1, report.numFailedTestSuites));
    return {
      passed: report.numPassedTests,
      failed,
      skipped: notRun > 0 ? [`${notRun} tests of ${project} did not run`] : [],
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
