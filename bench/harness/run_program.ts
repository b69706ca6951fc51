import { spawn } from "node:child_process";
import { basename } from "node:path";
import type { Stops } from "./stops";

export interface ProgramResult {
  /** Exit status, or what ended the program otherwise. */
  status: number | NodeJS.Signals;
  output: string;
  errors: string;
}

export interface ProgramOptions {
  cwd?: string;
  /** Of its standard input. */
  input?: string;
  env?: NodeJS.ProcessEnv;
}

/** Runs a program to its end, which comes with the benchmark's at the latest. */
export function runProgram(
  program: string,
  args: readonly string[],
  stops: Stops,
  { input = "", ...options }: ProgramOptions = {},
): Promise<ProgramResult> {
  const child = spawn(program, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
  const forget = stops.add(() => {
    child.kill("SIGKILL");
  });
  // A program that ends before it has read all of it says why itself.
  child.stdin.on("error", () => undefined).end(input);
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  return new Promise<ProgramResult>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      resolve({ status: signal ?? status ?? 1, output, errors });
    });
  }).finally(forget);
}

/** What a program writes to its standard output; throws, with the end of what it wrote about errors, unless its status is 0. */
export async function programOutput(
  program: string,
  args: readonly string[],
  stops: Stops,
  options: ProgramOptions = {},
): Promise<string> {
  const { status, output, errors } = await runProgram(program, args, stops, options);
  if (status === 0) return output;
  throw new Error(`${[basename(program), ...args].join(" ")} ended with ${status}: ${errors.slice(-2000)}`);
}
