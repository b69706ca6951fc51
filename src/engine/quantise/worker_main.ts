/**
 * Entry point of the quantising process: `quantise_worker.cjs EXTENSION_ROOT DIRECTORY`, the latter to work in. Gets one
 * WorkerTask over the channel to the engine host, answers it and ends. It ends as well when the host does, in the middle of
 * whatever it computes.
 */
import { constants, setPriority } from "node:os";
import { toEngineError } from "../../shared/errors";
import type { NativeEngine } from "../native/addon";
import { loadAddon } from "../native/load_addon";
import type { WeightPlan, WorkerAnswer, WorkerResults, WorkerTask } from "./worker_task";

async function perform(engine: NativeEngine, task: WorkerTask): Promise<WorkerResults[WorkerTask["kind"]]> {
  switch (task.kind) {
    case "plan":
      return plan(engine, task.path, task.types);
    case "quantise": {
      const { path: source, target, type, lossAccepted: fromLowPrecision, threads } = task;
      await engine.quantise({ source, target, type, fromLowPrecision, threads });
      return null;
    }
    case "compare": {
      const { judged, reference, text, threads } = task;
      return engine.compareModels({ judged, text, threads, ...(reference !== null && { reference }) });
    }
  }
}

async function plan(engine: NativeEngine, path: string, types: readonly string[]): Promise<WeightPlan> {
  const summary = await engine.summariseWeights({ path });
  const sizes: Record<string, number> = {};
  for (const type of types) sizes[type] = await engine.predictQuantisedBytes({ path, type });
  return { ...summary, sizes };
}

async function answer(task: WorkerTask): Promise<WorkerAnswer> {
  try {
    const { addon, libraryDirectory } = loadAddon(process.argv[2] ?? "");
    const engine = new addon.Engine({ libraryDirectory, backends: "cpu" });
    // Windows looks for libraries in the working directory, too: it becomes the folder of the models when all are loaded.
    process.chdir(process.argv[3] ?? "");
    return { ok: true, value: await perform(engine, task) };
  } catch (thrown) {
    const { code, message } = toEngineError(thrown);
    return { ok: false, code, message };
  }
}

/** At once: an ordinary exit waits for the addon's threads, and the library cannot be told to stop. */
function end(): void {
  process.kill(process.pid, "SIGKILL");
}

// Before the addon is loaded: on Linux threads have the priority of the one that makes them.
try {
  setPriority(constants.priority.PRIORITY_LOW);
} catch {
  // A system that does not allow it has its reasons; the work is the same.
}
process.on("disconnect", end);
process.once("message", (task: WorkerTask) => {
  void answer(task).then((result) => process.send?.(result, end));
});
