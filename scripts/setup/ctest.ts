import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import type { StepResult } from "./steps";

export interface CtestOptions {
  /** Regular expression of CMake's kind: the names of the tests to run. Without it, all. */
  only?: string;
  /** The same for the names of tests to leave out. */
  without?: string;
  /** How many tests run at a time, but for those that have to run alone. Default: as many as there are processors. */
  parallel?: number;
  /** Shows what tests write also where they pass. */
  verbose?: boolean;
  /** Added to the environment of the tests. */
  env?: Readonly<Record<string, string>>;
  /** A command that starts ctest, with its arguments. */
  launcher?: readonly string[];
}

export interface CtestResult extends StepResult {
  /** All that was shown. */
  output: string;
}

/** Runs the core's own tests on a model file and counts them. */
export async function runCtest(directory: string, model: string, options: CtestOptions = {}): Promise<CtestResult> {
  const { only, without, verbose = false, parallel = availableParallelism(), launcher = [] } = options;
  const env = { ...process.env, ...options.env, NMOS_TEST_MODEL: model };
  const command = [...launcher, "ctest", "--test-dir", directory, "--output-on-failure", "--no-tests=error"];
  // Visual Studio builds for several configurations, and ctest has to be told which.
  command.push("--build-config", "Release", "--parallel", String(parallel));
  if (verbose) command.push("--verbose");
  if (only !== undefined) command.push("--tests-regex", only);
  if (without !== undefined) command.push("--exclude-regex", without);
  const { output, status } = await run(command, env);
  // "100% tests passed, 0 tests failed out of 12"
  const counts = /(\d+) tests failed out of (\d+)/.exec(output);
  if (!counts) throw new Error(`ctest ended with status ${status} and without a summary`);
  const [failed = 0, all = 0] = counts.slice(1).map(Number);
  return { passed: all - failed, failed, skipped: [], output };
}

function run(
  [command = "", ...args]: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ output: string; status: number }> {
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
