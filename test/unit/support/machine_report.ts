import type { MachineReport, ModelForecast } from "../../../src/shared/machine_report";
import { cutUp, engineStatus, inRam, loadedModel, onCard, placedCard } from "./engine_status";
import { packReport } from "./pack_report";

const { placement } = loadedModel();

/** Half of an installed model is on the card and answers with 32 tokens/s, but for what is given. */
export function forecast(given: Partial<ModelForecast> = {}): ModelForecast {
  return {
    name: "Model M",
    sizeBytes: 4.7e9,
    requiredBytes: 6.2e9,
    isOwnFile: false,
    installed: true,
    fits: true,
    recommendedFor: ["main"],
    placement,
    lastPass: null,
    problem: "",
    ...given,
  };
}

export const inMemory = {
  ...placement,
  deviceLayers: 0,
  cards: [],
  deviceBytes: 0,
  layerMap: [inRam, inRam, inRam, inRam],
};
export const whole = {
  ...placement,
  deviceLayers: 4,
  cards: [placedCard({ firstLayer: 0, layers: 4 })],
  layerMap: [onCard, onCard, onCard, onCard],
};
export const cut = { ...placement, layerMap: [inRam, inRam, cutUp, onCard] };

/** A machine with an NVIDIA card, CUDA and one model, but for what is given. */
export function machineReport(given: Partial<MachineReport> = {}): MachineReport {
  const { devices, memory, library, hostVersion } = engineStatus();
  return {
    version: hostVersion,
    library,
    platform: "win32-x64",
    release: "10.0.26100",
    processors: 8,
    memory,
    diskFreeBytes: 100e9,
    devices: devices.map((device) => ({ ...device, memoryFree: device.memoryTotal - 0.5e9 })),
    backends: [
      { name: "cuda", usable: true, reason: "" },
      { name: "vulkan", usable: true, reason: "" },
    ],
    hasLoadedModels: false,
    packs: packReport({ installed: true }),
    settings: { gpu: "auto", cuda: "auto", vramLimitMiB: 0, contextLength: 0, kvCacheType: "q8_0", threads: 0 },
    models: [forecast()],
    ...given,
  };
}
