import { noGuesses } from "../../../src/engine/guesses";
import type { Activity, EngineStatus, LayerPlacement, LoadedModel, Placement } from "../../../src/shared/protocol";

const mib = 2 ** 20;

export const onCard: LayerPlacement = { attentionOnDevice: true, network: { device: 1, uploaded: 0, host: 0 } };
export const inRam: LayerPlacement = { attentionOnDevice: false, network: { device: 0, uploaded: 0, host: 1 } };
export const cutUp: LayerPlacement = { attentionOnDevice: true, network: { device: 0.5, uploaded: 0.25, host: 0.25 } };

const nothingDone: Activity = {
  passes: 0,
  lastPass: null,
  uploadedBytes: 0,
  slotHits: 0,
  slotMisses: 0,
  slotDiscarded: 0,
  waitedMs: 0,
  releasedBytes: 0,
  ...noGuesses,
  aheadTokens: 0,
  usedAheadTokens: 0,
};

/** A model of four layers, half of it on a card, but for what is given. */
export function loadedModel(
  given: Partial<Omit<LoadedModel, "placement" | "activity">> & {
    placement?: Partial<Placement>;
    activity?: Partial<Activity>;
  } = {},
): LoadedModel {
  return {
    ref: "m",
    name: "Model M",
    path: "/models/m.gguf",
    roles: ["main"],
    sizeBytes: 4600 * mib,
    sessions: 2,
    spill: null,
    ...given,
    placement: {
      device: "Vulkan0",
      layers: 4,
      deviceLayers: 2,
      hostBytes: 2600 * mib,
      deviceBytes: 2000 * mib,
      kvBytes: 200 * mib,
      kvCacheType: "f16",
      exactPasses: false,
      contextLength: 8192,
      explanation: ["2 of 4 layers fit.", "The rest is computed by the processor."],
      outputOnDevice: true,
      layerMap: [inRam, inRam, cutUp, onCard],
      slots: 3,
      slotBytes: 100 * mib,
      predictedPasses: [
        { tokens: 1, milliseconds: 31.25 },
        { tokens: 512, milliseconds: 1234.5 },
      ],
      ...given.placement,
    },
    activity: { ...nothingDone, ...given.activity },
  };
}

/** An engine with a card of 8 GiB and no model, but for what is given. */
export function engineStatus(given: Partial<EngineStatus> = {}): EngineStatus {
  return {
    hostPid: 7,
    hostVersion: "0.1.0",
    library: "llama.cpp v0.4.0",
    clients: 1,
    devices: [
      { name: "CPU", description: "AMD EPYC", kind: "cpu", memoryTotal: 8192 * mib, memoryFree: 4096 * mib },
      { name: "Vulkan0", description: "RTX", kind: "gpu", memoryTotal: 8192 * mib, memoryFree: 5192 * mib },
    ],
    backends: [{ name: "vulkan", usable: true, reason: "" }],
    preparing: "",
    memory: { totalBytes: 8192 * mib, availableBytes: 4096 * mib, hostProcessBytes: 1024 * mib },
    models: [],
    loading: [],
    ...given,
  };
}
