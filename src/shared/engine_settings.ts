/** The settings of the engine. */

/**
 * Context of a model in tokens when no setting says else; less when memory is short or the model was trained for less.
 * Long enough for a chat with some files attached, short enough for the KV cache of a small machine.
 */
export const DEFAULT_CONTEXT_LENGTH = 8192;

/** Precision of a KV cache: 16 bits, or 8 bits and a factor for every 32 values, which takes about half the memory. */
export type KvCacheType = "f16" | "q8_0";

/** `auto`: `f16`, unless `q8_0` makes a model faster that does not fit the card, or memory does not suffice otherwise. */
export type KvCacheChoice = KvCacheType | "auto";

/**
 * `auto`: tokens are guessed from the text at hand, from recent answers or with a small model, and one pass verifies several of
 * them where that is faster; where two tokens are almost equally likely, the answer may take the other one. `exact`: only where
 * the answer stays the same to the last bit, on the processor with slower kernels. `off`: one token a pass.
 */
export type Speculation = "auto" | "exact" | "off";

/** Whether prompts are computed ahead: `auto` not while the machine saves energy. */
export type ComputeAhead = "auto" | "always" | "off";

/** Whether CUDA is used where its pack is installed. */
export type CudaUse = "auto" | "off";

/** Engine settings. One host serves every window of the user: the last value given for a setting wins. */
export interface EngineSettings {
  /** Folder that holds downloaded models; empty: the per-user default. */
  modelsDirectory: string;
  /** Largest amount of VRAM of each card for all models and their sessions together, in MiB; 0: free memory less a margin. */
  vramLimitMiB: number;
  /** Whether graphics cards are used at all. */
  gpu: "auto" | "off";
  /** Holds from the next start of the host on. */
  cuda: CudaUse;
  /** Processor threads for a pass; 0: as many as there are physical cores. */
  threads: number;
  /** Context of the main model in tokens; 0: DEFAULT_CONTEXT_LENGTH. Less when memory is short. */
  contextLength: number;
  /** Of every model; one that cannot have it quantised has `f16`. */
  kvCacheType: KvCacheChoice;
  /** Of every model; holds from the next request on and reloads nothing. */
  speculation: Speculation;
  computeAhead: ComputeAhead;
  /**
   * Give graphics memory back after so many minutes without a request, as far as what it holds is in RAM, too; 0: never.
   */
  idleReleaseMinutes: number;
  /** Unload models after so many minutes without a request; 0: never. */
  idleUnloadMinutes: number;
  /** Proxy for downloads as a URL; empty: from the environment (HTTPS_PROXY, NO_PROXY). */
  proxy: string;
  /** Hosts reached without the proxy beside those of NO_PROXY, separated by commas; `*`: all. */
  noProxy: string;
  /** Base address for model downloads that replaces the hub's (a mirror); empty: the hub. */
  mirror: string;
  /** Base address for engine packs that replaces that of the releases; empty: the releases. */
  packMirror: string;
}

export const DEFAULT_ENGINE_SETTINGS: EngineSettings = {
  modelsDirectory: "",
  vramLimitMiB: 0,
  gpu: "auto",
  cuda: "auto",
  threads: 0,
  contextLength: 0,
  kvCacheType: "auto",
  speculation: "auto",
  computeAhead: "auto",
  idleReleaseMinutes: 5,
  idleUnloadMinutes: 15,
  proxy: "",
  noProxy: "",
  mirror: "",
  packMirror: "",
};
