/**
 * The native addon as TypeScript sees it. Implemented by `native/binding/`, one file per class.
 *
 * Threads: every method may be called from Node's main thread only and returns at once; work runs on threads
 * that the addon owns. Callbacks arrive on the main thread, in order, and before the promise of the same call
 * settles. Failures reject (or throw) with an Error that carries a string `code` out of `ERROR_CODES`.
 * Objects are freed by `close()`; using one afterwards fails with `CLOSED`.
 */
import type { Confidence } from "../../shared/completion";
import type { KvCacheChoice, Speculation } from "../../shared/engine_settings";
import type { Activity } from "../../shared/engine_status";
import type { Guesses, Priority } from "../../shared/generation";
import type { Placement } from "../../shared/placement";

export interface NativeAddon {
  Engine: new (options: NativeEngineOptions) => NativeEngine;
  Cancellation: new () => NativeCancellation;
  /**
   * Windows: lets nobody but this user connect to a named pipe on which this process listens. Returns the access list that
   * the system has of it then, in SDDL. Throws `INTERNAL` with the system's reason.
   */
  keepPipeToUser: (options: { name: string }) => string;
}

/** One flag for one operation. May be cancelled from the main thread at any time, also before the call. */
export interface NativeCancellation {
  cancel(): void;
  readonly cancelled: boolean;
}

export interface NativeEngineOptions {
  /** Folder of the engine libraries and backends (absolute). */
  libraryDirectory: string;
  /** Folder for what takes long to find out about this machine; without one it is found out anew. */
  cacheDirectory?: string;
  /** `all`: every backend whose driver is on the machine, and the packs. */
  backends?: "all" | "cpu";
  /** Backends that lie elsewhere. Loaded before the others; one that cannot be loaded is left out. */
  packs?: NativeBackendPack[];
  /** Names of backends in the folder that are not touched at all, such as `vulkan`. */
  leftOut?: string[];
  onLog?: (level: "debug" | "info" | "warn" | "error", text: string) => void;
}

/** Absolute paths of a backend and of the libraries it needs, in the order in which they are loaded. */
export interface NativeBackendPack {
  backend: string;
  libraries: string[];
}

/** What came of loading a card's backend. */
export interface NativeBackend {
  /** Such as `cuda`, `vulkan`. */
  name: string;
  /** It is loaded and has found a card. */
  usable: boolean;
  /** Why it is not usable, else empty. */
  reason: string;
}

export interface NativeDevice {
  name: string;
  description: string;
  kind: "cpu" | "gpu" | "integrated";
  memoryTotal: number;
  memoryFree: number;
  /** Bytes that this process has beyond what the system grants it, which are moved to RAM (Windows). */
  memoryBeyond: number;
}

export interface NativeEngine {
  /** As the library tells it, such as `0.4.0-dev`. */
  readonly libraryVersion: string;
  /** Reads the devices' memory anew on every call. A card that several backends can use is listed once. */
  devices(): NativeDevice[];
  /** Every card's backend that was tried in this process. */
  backends(): NativeBackend[];
  memory(): { totalBytes: number; availableBytes: number; processBytes: number };
  /** Whether the machine runs on battery or, on Windows and Linux, was told to save energy. May take milliseconds. */
  savesEnergy(): boolean;
  /** Plans and loads. Rejects with `MODEL_*`, `OUT_OF_MEMORY`; a cancelled load resolves with null. */
  loadModel(options: LoadModelOptions): Promise<NativeModel | null>;
  /** Where the model would go, without loading it. */
  planModel(options: PlanModelOptions): Promise<NativePlacement>;
  /** What the weights of a file are; reads headers only. Rejects with `MODEL_*`. */
  summariseWeights(options: { path: string }): Promise<NativeWeightSummary>;
  /** Size of the file that `quantise` would write, to about 10 KiB. Rejects with `MODEL_*`, `INVALID_ARGUMENT`. */
  predictQuantisedBytes(options: { path: string; type: string }): Promise<number>;
  /**
   * Writes a model with weights of another type. Knows neither progress nor cancellation, and some damaged files end the
   * process: call it in a process that may be ended. On failure what it wrote so far stays.
   */
  quantise(options: NativeQuantiseOptions): Promise<void>;
  /** Computes one pass over a text with each of two files of a model, on the processor, without taking RAM for them. */
  compareModels(options: NativeCompareOptions): Promise<NativeDivergence>;
  /** Cancels everything, joins the threads and frees the memory. */
  close(): Promise<void>;
}

export interface NativeWeightSummary {
  /** That most weights have, of a model of low precision most of those that are; ggml's name, such as `f16`, `q4_K`. */
  type: string;
  /** Share of the weights that have this type, from 0 to 1. */
  typeShare: number;
  /** More than a few percent of the weights have types other than F32, F16, BF16 and Q8_0, and would lose more. */
  lowPrecision: boolean;
  /** Of all parts of a split model. */
  fileBytes: number;
}

export interface NativeQuantiseOptions {
  /** Absolute; of a split model the first part, and all of it becomes one file. */
  source: string;
  /** Replaced when it exists. On Windows the library takes ASCII only: name it relative to the working directory. */
  target: string;
  /** `F16`, `Q8_0`, `Q4_K_M`, `Q4_0` or `IQ4_XS`. */
  type: string;
  /** Whether weights that were quantised before may lose more. Default: false. */
  fromLowPrecision?: boolean;
  threads: number;
}

export interface NativeCompareOptions {
  judged: string;
  /** Without it only the judged model is looked at. */
  reference?: string;
  text: string;
  threads: number;
}

/** How far the predictions of two models are apart; NaN where one of them is not finite. */
export interface NativeDivergence {
  /** Predictions that were looked at. */
  tokens: number;
  /** Mean of -ln p of the text's own tokens by the judged model. */
  surprise: number;
  /** Mean KL divergence of the reference's predictions from the judged ones, in nats per token; null without a reference. */
  meanKl: number | null;
  /** Share of tokens for which both have the same favourite, from 0 to 1; null without a reference. */
  sameTop: number | null;
}

export interface PlanOptions {
  path: string;
  contextLength: number;
  /** Largest VRAM use of all models in bytes, of each card; 0: free memory less a margin. */
  vramLimitBytes?: number;
  /** Of that, what other models have, by the card's name. Default: nothing. */
  vramUsedBytes?: Readonly<Record<string, number>>;
  /** What this model may have of a card at most, by its name: the system moved more to RAM. Default: no such limit. */
  vramGrantedBytes?: Readonly<Record<string, number>>;
  /** Bytes of that, or of what is free, that stay free for another model, on the card with the most of it. Default: 0. */
  vramReservedBytes?: number;
  /** Default: `f16`. */
  kvCacheType?: KvCacheChoice;
  /**
   * A pass over several tokens computes bit for bit what passes over one each do, where that can be had: on the processor,
   * with slower kernels and a `q8_0` cache. Default: false.
   */
  exactPasses?: boolean;
  gpu?: "auto" | "off";
  /** That passes will compute with; 0: one for each physical core. Default: 0. */
  threads?: number;
}

export interface PlanModelOptions extends PlanOptions {
  /**
   * Predicts passes wherever the layers lie. Measures card and processor where that was not done, which takes some seconds
   * and waits for a load under way. `path` may then be that of an outline (models/model_outline.ts). Default: false.
   */
  forecast?: boolean;
}

export interface LoadModelOptions extends PlanOptions {
  cancellation?: NativeCancellation;
  onProgress?: (fraction: number) => void;
}

/** Of the plan, with one session: the host adds what others take, and leaves out what was given back (model_memory.ts). */
export type NativePlacement = Placement;

/** What a model has done, without what only the host counts. */
export interface NativeActivity extends Omit<Activity, keyof Guesses | "aheadTokens" | "usedAheadTokens"> {
  /** `releasedBytes` of each of the placement's cards. */
  releasedOfCards: number[];
  /**
   * How many times as long as usual passes suddenly take, though the processor is free: most likely the system has moved
   * memory of the card to RAM. Null: they do not. Stays until weights are released or brought back.
   */
  timesAsLong: number | null;
}

export interface NativeModelInfo {
  path: string;
  /** Such as `qwen2 1.5B Q4_K - Medium`. */
  description: string;
  architecture: string;
  sizeBytes: number;
  parameters: number;
  layers: number;
  vocabularySize: number;
  trainedContextLength: number;
  /** Jinja source from the file's metadata, or null. */
  chatTemplate: string | null;
  /** Text of special tokens, null where the vocabulary has none. */
  specialTokens: {
    bos: string | null;
    eos: string | null;
    fimPrefix: string | null;
    fimSuffix: string | null;
    fimMiddle: string | null;
    fimRepository: string | null;
    fimSeparator: string | null;
    fimPad: string | null;
  };
  addsBos: boolean;
  /** It can forget tokens that turn out to be wrong, without which none are guessed; recurrent and hybrid models cannot. */
  takesTokensBack: boolean;
  /** The file's metadata, long arrays left out. */
  metadata: Record<string, string>;
}

/** Text to tokenize. `special: true`: text such as `<|im_start|>` becomes that token, else it is plain text. */
export interface PromptPart {
  text: string;
  special: boolean;
}

export interface NativeModel {
  readonly info: NativeModelInfo;
  readonly placement: NativePlacement;
  /** Cheap; may be read at any time, also while a pass runs. */
  readonly activity: NativeActivity;
  /** Adds the BOS token in front when the model asks for one and `addBos` is not false. */
  tokenize(parts: PromptPart[], options?: { addBos?: boolean }): Promise<Int32Array>;
  /** Text of tokens; special tokens are shown when `special`. */
  detokenize(tokens: Int32Array, options?: { special?: boolean }): Promise<string>;
  createSession(options: SessionOptions): Promise<NativeSession>;
  /**
   * Gives graphics memory back, at least `bytes` of it if there is so much, else all that can be: of weights that are in
   * RAM, too, from which the processor computes then. Only that of `device`, if one is named. Resolves with the bytes.
   * Waits for the pass under way.
   */
  release(options?: { bytes?: number; device?: string }): Promise<number>;
  /**
   * Makes the next passes as fast as the placement says: brings back what was released, reads mapped weights into RAM and
   * fills the upload slots, beside passes that run meanwhile. Ends within milliseconds of a cancellation; what is done by
   * then stays. Brings at most `bytes` back (default: all), only to `device` if one is named. Resolves with the bytes
   * brought back.
   */
  prefetch(options?: { bytes?: number; device?: string; cancellation?: NativeCancellation }): Promise<number>;
  /** Cancels and closes its sessions first. */
  close(): Promise<void>;
}

export interface SessionOptions {
  contextLength: number;
  /** Tokens of one prefill batch; a more urgent request waits for at most one. Default: 64, or 512 when a card holds the whole model. */
  batchSize?: number;
  threads?: number;
  /**
   * The session guesses the answers of this larger model: it is for `GenerateOptions.draft`. Rejects with
   * `INVALID_ARGUMENT` where the two do not share a vocabulary.
   */
  draftsFor?: NativeModel;
}

/** Is added to the token's logit before anything else is done with it, from -1e9 to 1e9; "never": the token does not come. */
export interface LogitBias {
  token: number;
  bias: number | "never";
}

export interface SamplerOptions {
  /** 0 (default): greedy. */
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repeatPenalty?: number;
  repeatLastN?: number;
  seed?: number;
  /** GBNF source; its root rule is `root`. */
  grammar?: string;
  /** For at most 512 tokens. */
  logitBias?: LogitBias[];
}

export interface PrefillOptions {
  tokens: Int32Array;
  priority: Priority;
  cancellation?: NativeCancellation;
}

export interface PrefillResult {
  promptTokens: number;
  reusedTokens: number;
  computedTokens: number;
  queuedMs: number;
  prefillMs: number;
  /** Of that without the time in which others computed. */
  computeMs: number;
  cancelled: boolean;
}

export interface GenerateOptions extends PrefillOptions {
  maxTokens: number;
  sampler?: SamplerOptions;
  stop?: string[];
  /**
   * Token healing: the output is forced to begin with this text, which must not be part of `tokens`; it is
   * not repeated in the text handed out. The tokens that cover it may reach beyond it. A grammar governs it, too.
   */
  beginWith?: string;
  /**
   * Default: `auto`. `exact` guesses only where passes are exact (`PlanOptions.exactPasses`); with it the text is the same,
   * bit for bit, as with `off`. Where nothing is guessed, the model also forgets its earlier answers.
   */
  speculation?: Speculation;
  /** What the whole answer may be, `beginWith` included; verified, several tokens a pass, before anything else is guessed. */
  draftTokens?: Int32Array;
  /**
   * Made with `draftsFor` this session's model. Is asked for guesses where that makes the answer come sooner; while
   * another answer has it, or when it was closed, there are none of it.
   */
  draft?: NativeSession;
  /** Whether the result says how confident the model was. Default: false. */
  rate?: boolean;
}

export interface GenerateResult extends PrefillResult, Guesses {
  text: string;
  tokens: Int32Array;
  finish: "stop" | "length" | "cancelled";
  decodeMs: number;
  decodePasses: number;
  /** Over the draft model. */
  draftModelPasses: number;
  /** Null: not asked for, or there was no token. */
  confidence: Confidence | null;
}

export interface NativeSession {
  readonly contextLength: number;
  /** The tokens whose KV is in the cache. */
  cachedTokens(): Int32Array;
  /** Makes the KV cache hold exactly `tokens`, computing only what follows the longest common prefix. */
  prefill(options: PrefillOptions): Promise<PrefillResult>;
  /** Prefill, then decode. `onText` gets whole characters only and never part of a stop string. */
  generate(options: GenerateOptions, onText?: (text: string) => void): Promise<GenerateResult>;
  /** A copy of the KV cache in RAM; null when it is empty or the model's memory cannot be copied. */
  save(options: CopyOptions): Promise<NativeSnapshot | null>;
  /**
   * Makes the KV cache hold exactly the snapshot's tokens. A snapshot of another loaded model rejects with
   * `INVALID_ARGUMENT`, one that is too long with `CONTEXT_TOO_LONG`: both leave the cache as it was.
   */
  restore(snapshot: NativeSnapshot, options: CopyOptions): Promise<void>;
  close(): Promise<void>;
}

export interface CopyOptions {
  priority: Priority;
}

/** Native memory outside of JavaScript's heap; may outlive its session. Freed when collected, too. */
export interface NativeSnapshot {
  readonly tokens: Int32Array;
  /** Of RAM. */
  readonly bytes: number;
  close(): void;
}
