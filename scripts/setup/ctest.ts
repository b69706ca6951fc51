import { spawn } from "node:child_process";
import type { StepResult } from "./steps";

/** Runs the core's own tests on a model file and counts them. */
export async function runCtest(directory: string, model: string): Promise<StepResult> {
  const env = { ...process.env, NMOS_TEST_MODEL: model };
  const args = ["--test-dir", directory, "--output-on-failure", "--no-tests=error"];
  const { output, status } = await run("ctest", args, env);
  // "100% tests passed, 0 tests failed out of 12"
  const counts = /(\d+) tests failed out of (\d+)/.exec(output);
  if (!counts) throw new Error(`ctest ended with status ${status} and without a summary`);
  const [failed = 0, all = 0] = counts.slice(1).map(Number);
  return { passed: all - failed, failed, skipped: [] };
}

function run(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<{ output: string; status: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "inherit"] });
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
