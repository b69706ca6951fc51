/** Loads the addon below a folder, makes an engine and starts the package's processes. Runs in Node on the package's own system. */
import { join } from "node:path";
import { createEngineClient } from "../../src/engine/client/create_engine_client";
import { loadAddon, type LoadedAddon } from "../../src/engine/native/load_addon";
import { workerRunner } from "../../src/engine/quantise/run_worker";
import { DEFAULT_ENGINE_SETTINGS } from "../../src/shared/engine_settings";
import { observe, probeInput } from "./observe";

export interface LoadProbeInput {
  extensionRoot: string;
  /** What the engine host and the quantising process are tried with; without it they are not. */
  processes?: {
    /** Folder for everything that NMOS writes; need not exist. */
    home: string;
    /** A model and the folder that it is in. */
    model: string;
    models: string;
  };
}

const { extensionRoot, processes } = probeInput() as LoadProbeInput;
let loaded: LoadedAddon;

/** The kinds of the devices that an engine host finds. */
async function devicesOfHost(home: string): Promise<string[]> {
  const env = { ...process.env, NMOS_HOME: home, NMOS_HOST_GRACE_MS: "1000" };
  const settings = DEFAULT_ENGINE_SETTINGS;
  const client = createEngineClient({ extensionRoot, clientName: "probe", settings, env });
  try {
    const { devices } = await client.request("engine/status", { startEngine: true });
    await client.endHost();
    return devices.map(({ kind }) => kind);
  } finally {
    client.dispose();
  }
}

/** The type of a model's weights, as a quantising process tells it. */
async function typeOfWeights(path: string, directory: string): Promise<string> {
  const script = join(extensionRoot, "dist", "quantise_worker.cjs");
  const run = workerRunner({ script, extensionRoot, log: () => undefined });
  const { signal } = new AbortController();
  return (await run({ kind: "plan", path, types: ["Q8_0"] }, { signal, directory })).type;
}

void observe({
  "the addon": () => {
    loaded = loadAddon(extensionRoot);
    return Object.keys(loaded.addon).sort();
  },
  "the engine": async () => {
    const engine = new loaded.addon.Engine({ libraryDirectory: loaded.libraryDirectory, backends: "cpu" });
    const devices = engine.devices().map(({ kind }) => kind);
    await engine.close();
    return devices;
  },
  ...(processes && {
    "an engine host": () => devicesOfHost(processes.home),
    "a quantising process": () => typeOfWeights(processes.model, processes.models),
  }),
  "the end": () => null,
});
