/** Loads the addon below a folder. Runs in Node on the package's own system. */
import { loadAddon } from "../../src/engine/native/load_addon";
import { observe, probeInput } from "./observe";

export interface LoadProbeInput {
  extensionRoot: string;
}

const { extensionRoot } = probeInput() as LoadProbeInput;

void observe({
  "the addon": () => Object.keys(loadAddon(extensionRoot).addon).sort(),
  "the end": () => null,
});
