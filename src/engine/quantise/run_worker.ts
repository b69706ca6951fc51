import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { EngineError, toEngineError } from "../../shared/errors";
import { throwIfAborted } from "../unless_aborted";
import type { WorkerAnswer, WorkerResults, WorkerTask } from "./worker_task";

/**
 * Runs a task in a process of its own. Fails with the task's errors, `BACKEND_UNAVAILABLE` when the process cannot be
 * started, `ENGINE_DIED` when it ends early, and `CANCELLED` after the process of an aborted one has ended.
 */
export type RunWorker = <T extends WorkerTask>(
  task: T,
  options: { signal: AbortSignal; directory: string },
) => Promise<WorkerResults[T["kind"]]>;

export interface WorkerOptions {
  /** The bundle of worker_main.ts. */
  script: string;
  extensionRoot: string;
  log: (line: string) => void;
}

/** Of what a crash says last. */
const mostErrorCharacters = 2_000;

/** `directory`, which has to exist, is where a task works: on Windows the library opens its target by an ASCII name only. */
export function workerRunner({ script, extensionRoot, log }: WorkerOptions): RunWorker {
  return async (task, { signal, directory }) => {
    throwIfAborted(signal);
    const child = start([script, extensionRoot, directory]);
    const stop = () => child.kill("SIGKILL");
    signal.addEventListener("abort", stop, { once: true });
    try {
      const answer = await answerOf(child, task, log);
      throwIfAborted(signal);
      if (!answer.ok) throw new EngineError(answer.code, answer.message);
      return answer.value as WorkerResults[(typeof task)["kind"]];
    } finally {
      signal.removeEventListener("abort", stop);
    }
  };
}

function start(args: [script: string, ...others: string[]]): ChildProcess {
  // Else it would seem to die of what it was given.
  if (!existsSync(args[0])) throw cannotStart(`${args[0]} is not there. Install NMOS again.`);
  try {
    return spawn(process.execPath, args, {
      // Windows looks for libraries in the working folder and wants a path of at most 260 characters for it, which the
      // extension's need not have; the program's folder it searches in any case.
      cwd: dirname(process.execPath),
      windowsHide: true,
      // Figures that are not finite have no JSON.
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
  } catch (thrown) {
    throw cannotStart(toEngineError(thrown).message);
  }
}

function cannotStart(why: string): EngineError {
  return new EngineError("BACKEND_UNAVAILABLE", `The quantising process cannot be started: ${why}`);
}

/** Settles when the process has ended and holds no file any more. */
function answerOf(child: ChildProcess, task: WorkerTask, log: (line: string) => void): Promise<WorkerAnswer> {
  let answer: WorkerAnswer | undefined;
  let errors = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-mostErrorCharacters);
  });
  child.on("message", (message) => {
    answer = message as WorkerAnswer;
  });
  return new Promise((resolve, reject) => {
    child.on("error", (thrown) => {
      reject(cannotStart(thrown.message));
    });
    child.on("close", (code, signal) => {
      if (answer) {
        resolve(answer);
        return;
      }
      log(`the quantising process ended (${signal ?? String(code)}): ${errors.trim()}`);
      resolve({
        ok: false,
        code: "ENGINE_DIED",
        message: `The quantising process ended before it was done (${signal ?? `code ${String(code)}`}). The model may be damaged or of a kind that the engine does not know; the log says more.`,
      });
    });
    // Where the system has no more files or processes to give there is no channel, and an error follows.
    if (!child.connected) return;
    child.send(task, (failure) => {
      // A process that has ended closes and says so itself.
      if (failure) child.kill("SIGKILL");
    });
  });
}
