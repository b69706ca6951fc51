/** Loads the addon below a folder and makes an engine. Runs in Node on the package's own system. */
import { loadAddon, type LoadedAddon } from "../../src/engine/native/load_addon";
import { observe, probeInput } from "./observe";

export interface LoadProbeInput {
  extensionRoot: string;
}

const { extensionRoot } = probeInput() as LoadProbeInput;
let loaded: LoadedAddon;

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
  "the end": () => null,
});
