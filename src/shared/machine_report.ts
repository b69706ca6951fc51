/**
 * What comes of the two checks of a machine: what the engine predicts here, and whether it works. Memory in bytes,
 * times in milliseconds.
 */
import type { EngineSettings } from "./engine_settings";
import type { Activity, BackendStatus, DeviceStatus, EngineStatus } from "./engine_status";
import type { ModelRole } from "./models";
import type { PackReport } from "./packs";
import type { Placement } from "./placement";

/** What would become of a model here; all but a GGUF file of the user's own is of the catalogue. */
export interface ModelForecast {
  name: string;
  sizeBytes: number;
  /** With a usual context. */
  requiredBytes: number;
  isOwnFile: boolean;
  installed: boolean;
  fits: boolean;
  recommendedFor: ModelRole[];
  /** Where it lies or would lie, with the predicted time of its passes; null: it does not fit, or `problem`. */
  placement: Placement | null;
  /** Of a model in memory, the last pass that it computed. */
  lastPass: Activity["lastPass"];
  /** Why it cannot be loaded; else empty. */
  problem: string;
}

/** What the engine knows of this machine, and what it predicts of models without loading them. */
export interface MachineReport {
  version: string;
  library: string;
  /** `<platform>-<arch>` and the system's release. */
  platform: string;
  release: string;
  /** Physical or not, as the system counts them. */
  processors: number;
  memory: EngineStatus["memory"];
  /** Of the disk that holds the models; null when it does not tell. */
  diskFreeBytes: number | null;
  devices: DeviceStatus[];
  backends: BackendStatus[];
  /** Whether a model is in memory now, which takes its part of what is free. */
  hasLoadedModels: boolean;
  packs: PackReport;
  settings: Pick<EngineSettings, "gpu" | "cuda" | "vramLimitMiB" | "contextLength" | "kvCacheType" | "threads">;
  models: ModelForecast[];
}

export interface SelfTestStep {
  name: string;
  ok: boolean;
  detail: string;
  milliseconds: number;
}
