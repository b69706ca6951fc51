import { noGuesses } from "../../../src/engine/guesses";
import type { Activity, EngineStatus, LoadedModel } from "../../../src/shared/engine_status";
import type { LayerPlacement, PlacedCard, Placement } from "../../../src/shared/placement";

const mib = 2 ** 20;

export const onCard: LayerPlacement = {
  attentionOnDevice: true,
  card: "Vulkan0",
  network: { device: 1, uploaded: 0, host: 0 },
};
export const inRam: LayerPlacement = {
  attentionOnDevice: false,
  card: null,
  network: { device: 0, uploaded: 0, host: 1 },
};
export const cutUp: LayerPlacement = {
  attentionOnDevice: true,
  card: "Vulkan0",
  network: { device: 0.5, uploaded: 0.25, host: 0.25 },
};

/** The last two of four layers on a card, in part, but for what is given. */
export function placedCard(given: Partial<PlacedCard> = {}): PlacedCard {
  return {
    device: "Vulkan0",
    firstLayer: 2,
    layers: 2,
    bytes: 2000 * mib,
    kvBytes: 100 * mib,
    slots: 3,
    slotBytes: 100 * mib,
    ...given,
  };
}

const nothingDone: Activity = {
  passes: 0,
  lastPass: null,
  uploadedBytes: 0,
  slotHits: 0,
  slotMisses: 0,
  slotDiscarded: 0,
  waitedMs: 0,
  releasedBytes: 0,
  expertUses: 0,
  expertHits: 0,
  ...noGuesses,
  aheadTokens: 0,
  usedAheadTokens: 0,
};

const onOther: LayerPlacement = {
  attentionOnDevice: true,
  card: "CUDA0",
  network: { device: 1, uploaded: 0, host: 0 },
};

/** The second of four layers on one card, the last two on another one. */
export const overTwoCards: Partial<Placement> = {
  deviceLayers: 3,
  deviceBytes: 3000 * mib,
  cards: [
    placedCard({ device: "CUDA0", firstLayer: 1, layers: 1, bytes: 1000 * mib, kvBytes: 50 * mib, slots: 0 }),
    placedCard(),
  ],
  layerMap: [inRam, onOther, cutUp, onCard],
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
    awayBytes: 0,
    spill: null,
    ...given,
    placement: {
      layers: 4,
      deviceLayers: 2,
      cards: [placedCard()],
      hostBytes: 2600 * mib,
      deviceBytes: 2000 * mib,
      kvBytes: 200 * mib,
      kvCacheType: "f16",
      exactPasses: false,
      contextLength: 8192,
      shortfall: null,
      explanation: ["2 of 4 layers fit.", "The rest is computed by the processor."],
      outputOnDevice: true,
      layerMap: [inRam, inRam, cutUp, onCard],
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
    quantising: false,
    memory: { totalBytes: 8192 * mib, availableBytes: 4096 * mib, hostProcessBytes: 1024 * mib },
    models: [],
    loading: [],
    ...given,
  };
}
