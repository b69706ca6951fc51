import { availableParallelism, release } from "node:os";
import type { EngineSettings } from "../../shared/engine_settings";
import type { EngineStatus } from "../../shared/engine_status";
import { toEngineError } from "../../shared/errors";
import type { MachineReport, ModelForecast } from "../../shared/machine_report";
import type { ModelState } from "../../shared/models";
import type { PackReport } from "../../shared/packs";
import type { CatalogueEntry } from "../models/catalogue";
import { freeBytesOf } from "../models/disk_space";
import { writeOutline } from "../models/model_outline";
import type { InstalledModel, ModelStore } from "../models/model_store";
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
  /** Of the models that the store lists. */
  catalogue: readonly CatalogueEntry[];
  /** For what may be deleted at any time. */
  cacheDirectory: string;
  signal: AbortSignal;
  /** Called with the name of the model that is planned. */
  onModel: (name: string) => void;
}

/** Looks at the machine, and plans every model that is installed or would fit without loading it. */
export async function checkMachine(options: CheckMachineOptions): Promise<MachineReport> {
  const { store, settings, modelsDirectory, signal, onModel } = options;
  const packs = await unlessAborted(signal, options.packs);
  const models: ModelForecast[] = [];
  for (const model of await store.list()) {
    throwIfAborted(signal);
    onModel(model.name);
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
    const chosen = installed ? await options.store.choose(ref, "main") : outlined(model, options);
    // What is measured goes on, for the next time.
    if (chosen) plan = await unlessAborted(options.signal, () => options.models.forecast(chosen));
  } catch (thrown) {
    throwIfAborted(options.signal);
    problem = toEngineError(thrown).message;
  }
  const isOwnFile = ref === path;
  return { name, sizeBytes, requiredBytes, isOwnFile, installed, fits, recommendedFor, ...plan, problem };
}

/** A model of the catalogue as if its file were there; null where it would not fit, or nobody knows its shape. */
function outlined(model: ModelState, { catalogue, cacheDirectory }: CheckMachineOptions): InstalledModel | null {
  const entry = catalogue.find(({ id }) => id === model.ref);
  const path = entry && model.fits ? writeOutline(entry, cacheDirectory) : null;
  if (path === null) return null;
  const { ref, name, roles, sizeBytes } = model;
  return { ref, name, path, roles, sizeBytes };
}
