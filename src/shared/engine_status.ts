/** What the engine host has: devices, backends and the models in memory. Memory in bytes, times in milliseconds. */
import type { Guesses } from "./generation";
import type { ModelRef, ModelRole } from "./models";
import type { Placement } from "./placement";

export interface DeviceStatus {
  /** ggml's name, such as `CPU`, `Vulkan0`, `CUDA0`. */
  name: string;
  description: string;
  kind: "cpu" | "gpu" | "integrated";
  memoryTotal: number;
  memoryFree: number;
}

/** What came of a card's backend, one line for each that was tried or left out. */
export interface BackendStatus {
  /** Such as `cuda`, `vulkan`. */
  name: string;
  usable: boolean;
  /** Why it is not usable, else empty. */
  reason: string;
  /** Worth telling who did not ask, because a card would use it. Where this is left out, it is of CUDA alone. */
  isMissed?: boolean;
}

/** What a loaded model has done so far. Its guesses are those since it was loaded. */
export interface Activity extends Guesses {
  /** Computed since the model was loaded. */
  passes: number;
  lastPass: { tokens: number; milliseconds: number; predictedMilliseconds: number | null } | null;
  /** Through the slots, since the host began, of all models of its cards; the further counts, too. */
  uploadedBytes: number;
  slotHits: number;
  slotMisses: number;
  slotDiscarded: number;
  /** That passes waited for uploads to be given to the card. */
  waitedMs: number;
  /** Weights that belong on the cards and were given back, for a while or for good; `deviceBytes` does without them. */
  releasedBytes: number;
  /** Experts that tokens chose, of mixtures that are divided between card and processor, and those that were in VRAM. */
  expertUses: number;
  expertHits: number;
  /** Of prompts, computed before a request needed them, and those of them that a request then found. */
  aheadTokens: number;
  usedAheadTokens: number;
}

/** Graphics memory that the system moved to RAM, which makes a card far slower, and what was done about it. */
export interface Spill {
  /** Of this host, counted from 1. What follows within some minutes is the same one. */
  occasion: number;
  /** How it was found: passes suddenly took so many times as long. Null: the system grants less than the model had. */
  timesAsLong: number | null;
  /** Given back for it; the processor computes with these weights. */
  givenBackBytes: number;
}

export interface LoadedModel {
  ref: ModelRef;
  name: string;
  path: string;
  roles: ModelRole[];
  sizeBytes: number;
  placement: Placement;
  sessions: number;
  activity: Activity;
  /** Of `activity.releasedBytes`, what comes back to the cards with the next request. */
  awayBytes: number;
  /** Since it was loaded for other reasons, as far as it still holds; null: none. */
  spill: Spill | null;
}

export interface EngineStatus {
  hostPid: number;
  hostVersion: string;
  /** The engine library and its version, such as `llama.cpp 0.4.0`; empty until the native engine is loaded. */
  library: string;
  clients: number;
  /** None until the native engine is loaded. */
  devices: DeviceStatus[];
  /** Of cards, those that were tried or left out; none until the native engine is loaded. */
  backends: BackendStatus[];
  /** What makes the first answer on a new card or driver take minutes, in a sentence; else empty. */
  preparing: string;
  /** A model file is being quantised, which takes long and is lost when the host ends. */
  quantising: boolean;
  memory: { totalBytes: number; availableBytes: number; hostProcessBytes: number };
  models: LoadedModel[];
  loading: { ref: ModelRef; fraction: number }[];
}
