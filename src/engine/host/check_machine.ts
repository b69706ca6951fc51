import { availableParallelism, release } from "node:os";
import type { EngineSettings } from "../../shared/engine_settings";
import type { EngineStatus } from "../../shared/engine_status";
import { toEngineError } from "../../shared/errors";
import type { MachineReport, ModelForecast } from "../../shared/machine_report";
import type { ModelState } from "../../shared/models";
import type { PackReport } from "../../shared/packs";
import { freeBytesOf } from "../models/disk_space";
import type { ModelStore } from "../models/model_store";
import { throwIfAborted, unlessAborted } from "../unless_aborted";
import type { ModelManager } from "./model_manager";

export interface CheckMachineOptions {
  /** Once the native engine is there. */
  status: () => EngineStatus;
  packs: () => Promise<PackReport>;
  settings: EngineSettings;
  store: ModelStore;
  models: Pick<ModelManager, "forecast">;
  modelsDirectory: string;
  signal: AbortSignal;
  /** Called with the name of the model that is planned. */
  onModel: (name: string) => void;
}

/** Looks at the machine, and plans every installed model without loading it. */
export async function checkMachine(options: CheckMachineOptions): Promise<MachineReport> {
  const { store, settings, modelsDirectory, signal, onModel } = options;
  const packs = await unlessAborted(signal, options.packs);
  const models: ModelForecast[] = [];
  for (const model of await store.list()) {
    throwIfAborted(signal);
    if (model.installed) onModel(model.name);
    models.push(await forecastOf(model, options));
  }
  const { hostVersion, library, memory, devices, backends, models: loaded } = options.status();
  const { gpu, cuda, vramLimitMiB, contextLength, kvCacheType, threads } = settings;
  return {
    version: hostVersion,
    library,
    platform: `${process.platform}-${process.arch}`,
    release: release(),
    processors: availableParallelism(),
    memory,
    diskFreeBytes: await freeBytesOf(modelsDirectory),
    devices,
    backends,
    hasLoadedModels: loaded.length > 0,
    packs,
    settings: { gpu, cuda, vramLimitMiB, contextLength, kvCacheType, threads },
    models,
  };
}

async function forecastOf(model: ModelState, options: CheckMachineOptions): Promise<ModelForecast> {
  const { ref, path, name, sizeBytes, requiredBytes, installed, fits, recommendedFor } = model;
  let plan: Pick<ModelForecast, "placement" | "lastPass"> = { placement: null, lastPass: null };
  let problem = "";
  try {
    if (installed) {
      const chosen = await options.store.choose(ref, "main");
      // What is measured goes on, for the next time.
      plan = await unlessAborted(options.signal, () => options.models.forecast(chosen));
    }
  } catch (thrown) {
    throwIfAborted(options.signal);
    problem = toEngineError(thrown).message;
  }
  const isOwnFile = ref === path;
  return { name, sizeBytes, requiredBytes, isOwnFile, installed, fits, recommendedFor, ...plan, problem };
}
