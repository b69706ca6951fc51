import { spawn } from "node:child_process";
import type { StepResult } from "./steps";

/** Runs the core's own tests and counts them. */
export async function runCtest(directory: string): Promise<StepResult> {
  const { output, status } = await run("ctest", ["--test-dir", directory, "--output-on-failure", "--no-tests=error"]);
  // "100% tests passed, 0 tests failed out of 12"
  const counts = /(\d+) tests failed out of (\d+)/.exec(output);
  if (!counts) throw new Error(`ctest ended with status ${status} and without a summary`);
  const [failed = 0, all = 0] = counts.slice(1).map(Number);
  return { passed: all - failed, failed, skipped: [] };
}

function run(command: string, args: string[]): Promise<{ output: string; status: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      process.stdout.write(chunk);
    });
    child.on("error", reject);
    child.on("exit", (code) => {
      resolve({ output, status: code ?? 1 });
    });
  });
}
