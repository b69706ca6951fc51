/**
 * The protocol between an engine client (a VS Code window, the terminal, a benchmark) and the engine host.
 *
 * JSON-RPC (vscode-jsonrpc) over a named pipe or unix socket. The first requests on a connection are `hello` and
 * `initialize`, with which each end proves to the other that it knows this user's token; the host refuses anything before,
 * and the client says nothing else before the host has proved itself. Requests are cancelled by `$/cancelRequest`; a cancelled
 * request resolves with what there was so far and `finish: "cancelled"` where its result has a `finish`. One that was
 * cancelled while it waited for a model to load fails with `CANCELLED`.
 * Streamed values travel as `$/progress` with the request's `progressToken`, in order, all of them before
 * the response.
 *
 * Units: bytes for memory and files, milliseconds for times, tokens for lengths unless the name says else.
 */
import type { ErrorCode } from "./errors";

/** Raised by one with every incompatible change; both ends must agree exactly. */
export const PROTOCOL_VERSION = 10;

/**
 * Context of a model in tokens when no setting says else; less when memory is short or the model was trained for less.
 * Long enough for a chat with some files attached, short enough for the KV cache of a small machine.
 */
export const DEFAULT_CONTEXT_LENGTH = 8192;

/** A catalogue id such as `qwen2.5-coder-0.5b`, or the absolute path of a local GGUF file. */
export type ModelRef = string;

/**
 * A ModelRef, or `auto`: the recommended model for the role when it is installed, else another installed one that serves
 * the role. What the user has configured is known to the client alone.
 */
export type ModelChoice = string;

/** `fast`: ghost text and drafts. `main`: chat and commands. */
export type ModelRole = "fast" | "main";

/** Scheduling class, most urgent first. A running lower class yields between two batches. */
export type Priority = "suggest" | "chat" | "warm";

/** Precision of a KV cache: 16 bits, or 8 bits and a factor for every 32 values, which takes about half the memory. */
export type KvCacheType = "f16" | "q8_0";

/** `auto`: `f16`, unless `q8_0` makes a model faster that does not fit the card, or memory does not suffice otherwise. */
export type KvCacheChoice = KvCacheType | "auto";

/**
 * `auto`: tokens are guessed from the prompt and the answer so far, and one pass verifies several of them where that is
 * faster; the answer stays the same. `off`: one token a pass.
 */
export type Speculation = "auto" | "exact" | "off";

/** Whether prompts are computed ahead: `auto` not while the machine saves energy. */
export type ComputeAhead = "auto" | "always" | "off";

/** Whether CUDA is used where its pack is installed. */
export type CudaUse = "auto" | "off";

export type FinishReason = "stop" | "length" | "cancelled";

/** Engine settings. One host serves every window of the user: the last value given for a setting wins. */
export interface EngineSettings {
  /** Folder that holds downloaded models; empty: the per-user default. */
  modelsDirectory: string;
  /** Largest amount of VRAM for all models and their sessions together, in MiB; 0: free memory less a margin. */
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

export interface HelloParams {
  protocolVersion: number;
  /** 64 hexadecimal digits, new for every connection. */
  nonce: string;
}

export interface HelloResult {
  /** The host's own, as the client's. */
  nonce: string;
  /** That the host knows the token: a shared secret of this user, in a file only the user may read. */
  proof: string;
}

export interface InitializeParams {
  /** That the client knows the token, too. */
  proof: string;
  /** `pid`: of the process, without which a host that hangs is of no use. */
  client: { name: string; pid: number };
  /** What is not given stays as it is. */
  settings?: Partial<EngineSettings>;
}

export interface InitializeResult {
  protocolVersion: number;
  hostVersion: string;
  hostPid: number;
  logFile: string;
  /** Connected clients, this one included. */
  clients: number;
}

export interface DeviceStatus {
  /** ggml's name, such as `CPU`, `Vulkan0`, `CUDA0`. */
  name: string;
  description: string;
  kind: "cpu" | "gpu" | "integrated";
  memoryTotal: number;
  memoryFree: number;
}

/** Where a loaded model lives and why. */
export interface Placement {
  layers: number;
  deviceLayers: number;
  /** In the order of their layers; none when there is nothing on a card. */
  cards: PlacedCard[];
  hostBytes: number;
  /** Of all cards, with the KV cache of all sessions. */
  deviceBytes: number;
  /** Of all sessions, wherever it lies. */
  kvBytes: number;
  kvCacheType: KvCacheType;
  /** Guessed tokens change no bit of an answer (`nmos.engine.speculation`: `exact`). */
  exactPasses: boolean;
  contextLength: number;
  /** Why there is not more of it on cards; null where they hold all of it, and without a card. */
  shortfall: PlacementShortfall | null;
  /** The reasons in words, a sentence each, for "Show Memory" and the terminal. */
  explanation: string[];
  outputOnDevice: boolean;
  /** One for each layer, first to last. */
  layerMap: LayerPlacement[];
  /** By width, ascending; empty when nothing was predicted. */
  predictedPasses: { tokens: number; milliseconds: number }[];
}

/** What the next unit of a model would take of a card, and what keeps it from there. */
export interface PlacementShortfall {
  /** ggml's name, as in `DeviceStatus`. */
  device: string;
  /** `layer`: all of one; `attention`: that of a layer; both with the KV cache. `network`: shares of feed-forward networks. */
  unit: "layer" | "attention" | "network" | "expert";
  /**
   * `card`: its free memory. `setting`: `nmos.engine.vramLimit`. `otherModel`: what others have there, or what is kept for
   * that of ghost text. `speed`: more would not make the model faster.
   */
  limit: "card" | "setting" | "otherModel" | "speed";
  /** For the first layer with the output head and the compute buffers. */
  neededBytes: number;
  /** Of what the model may use of the card. */
  freeBytes: number;
}

/** What of a model is on one card. */
export interface PlacedCard {
  /** ggml's name, as in `DeviceStatus`. */
  device: string;
  /** The first of its consecutive layers, counted from 0; the output head is on the last card. */
  firstLayer: number;
  /** Whose attention and KV cache it holds. */
  layers: number;
  /** Weights, KV cache of all sessions, compute buffers and upload slots, without what was given back. */
  bytes: number;
  /** KV cache of all sessions. */
  kvBytes: number;
  /** Upload slots, which all models of the card share; 0: nothing is uploaded. */
  slots: number;
  /** Of one slot. */
  slotBytes: number;
}

export interface LayerPlacement {
  /** Whether a card holds the attention and the KV cache. */
  attentionOnDevice: boolean;
  /** Which one; null: they are in RAM. */
  card: string | null;
  /**
   * Shares of the layer's feed-forward network or experts, which add up to 1 (all 0 when there is none). `device`: stays
   * in VRAM. `uploaded`: brought through upload slots in every pass. `host`: computed by the processor from RAM; wide
   * passes upload it, too.
   */
  network: { device: number; uploaded: number; host: number };
}

/** What came of guessing tokens ahead and verifying several of them in one pass. */
export interface Guesses {
  /** Guessed and verified. */
  draftedTokens: number;
  /** Those of them that became part of an answer. */
  acceptedTokens: number;
  /** Of both, those that a draft model guessed. */
  draftModelTokens: number;
  acceptedDraftModelTokens: number;
  /** Of computing one token a pass. Negative: that would have been faster. */
  savedMs: number;
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
  memory: { totalBytes: number; availableBytes: number; hostProcessBytes: number };
  models: LoadedModel[];
  loading: { ref: ModelRef; fraction: number }[];
}

/** One catalogue entry (or local file) with its state on this machine. */
export interface ModelState {
  ref: ModelRef;
  name: string;
  roles: ModelRole[];
  sizeBytes: number;
  license: string;
  licenseUrl: string;
  contextLength: number;
  /** Memory needed to run it with a usual context. */
  requiredBytes: number;
  installed: boolean;
  path: string;
  /** Bytes of an unfinished download on disk; 0 when there is none. */
  partialBytes: number;
  downloading: boolean;
  /** Default for this machine's memory in these roles. */
  recommendedFor: ModelRole[];
  /** False when this machine has too little memory for it. */
  fits: boolean;
}

export interface DownloadProgress {
  /** Of a model, or the id of an engine pack. */
  ref: string;
  phase: "connecting" | "downloading" | "verifying" | "unpacking" | "waiting";
  receivedBytes: number;
  totalBytes: number;
  bytesPerSecond: number;
  /** Why the download waits (`phase: "waiting"`): the last failure, and when it is tried again. */
  message?: string;
}

/** What weights can be turned into, by llama.cpp's names. */
export const WEIGHT_TYPES = ["Q8_0", "Q4_K_M", "Q4_0", "IQ4_XS"] as const;

export type WeightType = (typeof WEIGHT_TYPES)[number];

/** What would become of a model as this type. */
export interface QuantiseOffer {
  type: WeightType;
  sizeBytes: number;
  /** In the models folder. */
  target: string;
  targetExists: boolean;
  /** Why it cannot be done, a sentence; else empty. */
  refusal: string;
}

/** A GGUF file of the user's and what its weights can be turned into. */
export interface QuantisePlan {
  /** ggml's name of the type that most weights have, such as `f16`; where they lose quality, most of those that do. */
  type: string;
  /** Of all parts of a split model. */
  sizeBytes: number;
  /** More than a few percent of its weights are of low precision already and would lose more: asks for `lossAccepted`. */
  losesQuality: boolean;
  offers: QuantiseOffer[];
}

export interface QuantiseParams {
  /** Absolute. */
  path: string;
  type: WeightType;
  /** The user agreed to quantise weights again that are of low precision already. */
  lossAccepted: boolean;
  /** The user agreed to replace the target. */
  replace: boolean;
  progressToken?: string;
}

export interface QuantiseProgress {
  /** The source is tried, where it fits into RAM, before the result is written and checked. */
  phase: "trying" | "quantising" | "checking";
  /** Of the phase, from 0 to 1. */
  fraction: number;
}

export interface QuantiseResult {
  /** The target, or another name beside it when that was taken or could not be replaced. */
  path: string;
  sizeBytes: number;
  /** Mean KL divergence of the source's predictions from the result's, nats per token; null: the source is too large. */
  meanKl: number | null;
  /** Share of tokens for which both predict the same one, from 0 to 1; null as above. */
  sameTop: number | null;
}

/** A card of NVIDIA's as its driver tells it; null is what the driver does not tell. */
export interface NvidiaCard {
  name: string;
  /** Version of the driver, such as `591.44`. */
  driver: string;
  /** Compute capability, such as `7.5`. */
  capability: string | null;
  /** What CUDA calls it, such as `GPU-` and hexadecimal digits. */
  uuid: string | null;
  memoryBytes: number | null;
  freeBytes: number | null;
}

/** An engine pack, a backend that is not in the package, with its state on this machine. */
export interface PackState {
  /** Such as `cuda13`. */
  id: string;
  title: string;
  /** Of the download. */
  sizeBytes: number;
  /** Of disk when installed. */
  unpackedBytes: number;
  installed: boolean;
  /** There is one of another version of NMOS, which this engine cannot use. */
  outdated: boolean;
  /** Bytes of an unfinished download on disk; 0 when there is none. */
  partialBytes: number;
  downloading: boolean;
  /** False when neither this build nor the settings name an address. */
  downloadable: boolean;
}

/** The packs for this platform and which of them suits the machine. */
export interface PackReport {
  cards: NvidiaCard[];
  packs: PackState[];
  /** Id of the pack for this machine; null: none. */
  suitable: string | null;
  /** Why that one, or why none; a sentence or two. */
  reason: string;
  /** None is for it now, but one would be with a newer driver. */
  needsDriver: boolean;
}

/** What came of installing or removing a pack. */
export interface PackInstalled {
  /** An engine is running that was made before: it has to start anew. */
  needsRestart: boolean;
}

/** What came of a card's backend, one line for each that was tried or left out. */
export interface BackendStatus {
  /** Such as `cuda`, `vulkan`. */
  name: string;
  usable: boolean;
  /** Why it is not usable, else empty. */
  reason: string;
  /** A card would be used if it were: worth telling who did not ask. */
  isMissed?: boolean;
}

/** What one generation cost. */
export interface Usage extends Guesses {
  promptTokens: number;
  /** Prompt tokens whose KV was still there and was not computed again. */
  reusedTokens: number;
  completionTokens: number;
  queuedMs: number;
  prefillMs: number;
  decodeMs: number;
  decodePasses: number;
}

export interface Extract {
  /** Path relative to the workspace, `/`-separated. */
  path: string;
  text: string;
}

export interface CompletionParams {
  /** For the role `fast`. */
  model: ModelChoice;
  /** What the project is called; it stays the same while the project is open. Default: a name that says nothing. */
  repository?: string;
  path: string;
  languageId: string;
  /** Document text before and after the cursor, whole or a window; the host cuts it to its budget. */
  prefix: string;
  suffix: string;
  extracts: Extract[];
  /** `auto` decides from the text around the cursor. */
  lines: "single" | "multi" | "auto";
  maxTokens: number;
  progressToken?: string;
}

export type CompletionAheadParams = Omit<CompletionParams, "progressToken">;

/** A place at which the main model may check what `model` suggests. */
export interface CheckPrefillParams extends CompletionAheadParams {
  /** For the role `main`. */
  mainModel: ModelChoice;
}

export interface CompletionCheckParams extends CheckPrefillParams {
  /** What `model` has suggested there. */
  suggestion: string;
}

/** A place at which a suggestion may be asked for next. */
export interface CompletionPrefillParams extends Omit<CompletionParams, "lines" | "progressToken"> {
  /** `typed`: what a suggestion would have to compute now, if that is a few tokens; `whole`: the longest context. */
  reach: "typed" | "whole";
  /**
   * Whether the user types: the model is then loaded for it, and what it gave back of graphics memory is filled again.
   * Otherwise one that is not in memory, or idle, computes nothing.
   */
  load: boolean;
}

export interface ChatPrefillParams extends Pick<ChatParams, "model" | "messages" | "maxTokens"> {
  /** Whether the user is at it: the model is then in use, and what it gave back of graphics memory is filled again. */
  wake: boolean;
}

/** What computing ahead came to; null: the model is not in memory, or energy or the processor is to be spared. */
export type AheadResult = { promptTokens: number; computedTokens: number; computeMs: number } | null;

/**
 * How probable the tokens of an answer's first line with text were to the model, up to the one that ends it, as natural
 * logarithms. Of those that heal a prompt: among the ones that can.
 */
export interface Confidence {
  /** At least one. */
  tokens: number;
  mean: number;
  least: number;
}

export interface CompletionResult {
  /** Text to insert at the cursor, post-processed; empty when there is nothing worth showing. */
  text: string;
  /** Null: there was no token. */
  confidence: Confidence | null;
  model: ModelRef;
  finish: FinishReason;
  usage: Usage;
}

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface SamplingOptions {
  /** 0: greedy. */
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repeatPenalty?: number;
  seed?: number;
  /** GBNF grammar the answer must follow. */
  grammar?: string;
  stop?: string[];
}

export interface ChatParams {
  /** For the role `main`. */
  model: ModelChoice;
  messages: ChatMessage[];
  maxTokens?: number;
  sampling?: SamplingOptions;
  progressToken?: string;
}

export interface ChatResult {
  text: string;
  model: ModelRef;
  finish: FinishReason;
  usage: Usage;
  /** How many of the oldest messages after the system prompt did not fit the context and were left out. */
  droppedMessages: number;
  contextLength: number;
}

export interface CountTokensResult {
  tokens: number;
  contextLength: number;
  model: ModelRef;
}

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
  /** Where it lies or would lie, with the predicted time of its passes; null: it is not installed, or `problem`. */
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

interface Call<Params, Result, Progress = never> {
  params: Params;
  result: Result;
  progress: Progress;
}

/** Every request a client can make, by method name. */
export interface EngineRequests {
  hello: Call<HelloParams, HelloResult>;
  initialize: Call<InitializeParams, InitializeResult>;
  /** What is not given stays as it is. */
  "engine/configure": Call<Partial<EngineSettings>, null>;
  /** `startEngine: false` loads nothing native, so that merely looking wakes no graphics card. */
  "engine/status": Call<{ startEngine: boolean }, EngineStatus>;
  /**
   * Loads the model of each role if needed and generates a few tokens; never throws for a failing step. A role that is
   * not given is tested with `auto`.
   */
  "engine/selfTest": Call<
    { models?: Partial<Record<ModelRole, ModelChoice>>; progressToken?: string },
    SelfTestStep[],
    SelfTestStep
  >;
  /** Measures card and processor where that was not done (seconds). Streams the name of the model that is planned. */
  "engine/checkMachine": Call<{ progressToken?: string }, MachineReport, string>;
  /** Gives the memory of one model, or of all, back; what waits for one of them to load fails with `CANCELLED`. */
  "engine/unload": Call<{ model?: ModelRef }, { freedBytes: number }>;
  /** Ends the host for every window; clients start a new one with their next request. */
  "engine/shutdown": Call<null, null>;
  "models/list": Call<null, ModelState[]>;
  /** Looks for cards without loading their driver into the host. */
  "packs/list": Call<null, PackReport>;
  /** Fails with the codes of downloads. Cancelled, it keeps the partial file for the next time. */
  "packs/install": Call<{ pack: string; progressToken?: string }, PackInstalled, DownloadProgress>;
  /** From a file, which is checked against the same checksum as a download. */
  "packs/installFile": Call<{ path: string; progressToken?: string }, PackInstalled, DownloadProgress>;
  "packs/remove": Call<{ pack: string }, PackInstalled>;
  "models/download": Call<{ model: ModelRef; progressToken?: string }, { path: string }, DownloadProgress>;
  /** Copies a model of the catalogue from a file into the models folder and checks it as a download is. */
  "models/installFile": Call<{ path: string; progressToken?: string }, { path: string }, DownloadProgress>;
  /** Looks at a GGUF file without changing anything. Fails with `MODEL_*`. */
  "models/planQuantise": Call<{ path: string }, QuantisePlan>;
  /**
   * Turns the weights of a GGUF file into another type, in a process of its own; the result takes its name in the models
   * folder when it was checked. One at a time, else fails with `MODEL_IN_USE`, as it does before the work when the model
   * to be replaced is in use. Fails with `INVALID_ARGUMENT` where the user has to agree, the plan refuses or the name is too
   * long, `MODEL_*`, `DISK_FULL`, `DOWNLOAD_FAILED` (the folder cannot be written), `BACKEND_UNAVAILABLE`, `ENGINE_DIED`,
   * `OUT_OF_MEMORY`, `INTERNAL`, `QUALITY_TOO_LOW`; cancelled, with `CANCELLED`. Nothing is left then, but for a complete
   * result whose check or renaming failed: the message says under what name it was kept.
   */
  "models/quantise": Call<QuantiseParams, QuantiseResult, QuantiseProgress>;
  /** Keeps the partial file, so that a later download resumes. Cancels the download for all clients. */
  "models/pause": Call<{ model: ModelRef }, null>;
  /** Fails with `MODEL_IN_USE` while a request works with the model or waits for it. */
  "models/remove": Call<{ model: ModelRef }, null>;
  /** Loads a model ahead of its first request and says where it lies. Streams how far it is, from 0 to 1. */
  "models/load": Call<{ model: ModelChoice; role: ModelRole; progressToken?: string }, LoadedModel, number>;
  "completion/complete": Call<CompletionParams, CompletionResult, string>;
  /**
   * Computes a suggestion that may be asked for soon (lowest priority). Loads nothing. Null: the model is not in memory, or
   * energy or the processor is to be spared.
   */
  "completion/ahead": Call<CompletionAheadParams, CompletionResult | null>;
  /** Computes the KV cache for a suggestion ahead of the request for it (lowest priority). */
  "completion/prefill": Call<CompletionPrefillParams, AheadResult>;
  /**
   * What the main model suggests in place of a suggestion, whose tokens it verifies several a pass (lowest priority). Loads
   * nothing. Null: it is not in memory for the chat, is the model of the suggestion, cannot fill in or would have to compute
   * much of the prompt first, or energy or the processor is to be spared.
   */
  "completion/check": Call<CompletionCheckParams, CompletionResult | null>;
  /** Computes the KV cache for that ahead (lowest priority). Loads nothing. Null as above. */
  "completion/prefillCheck": Call<CheckPrefillParams, AheadResult>;
  "chat/generate": Call<ChatParams, ChatResult, string>;
  /**
   * Computes the KV cache of a conversation ahead of the request for its answer (lowest priority), up to where the last
   * message may still go on. Loads nothing.
   */
  "chat/prefill": Call<ChatPrefillParams, AheadResult>;
  "chat/countTokens": Call<{ model: ModelChoice; messages: ChatMessage[] }, CountTokensResult>;
}

/** Notifications from the host to every client. */
export interface EngineNotifications {
  "engine/statusChanged": EngineStatus;
  "models/changed": ModelState[];
  /** The host ends on purpose: the end of the connection that follows is no crash. */
  "engine/ending": { reason: string; isFailure: boolean };
}

/** The names of all notifications. */
export const NOTIFICATIONS = [
  "engine/statusChanged",
  "models/changed",
  "engine/ending",
] as const satisfies (keyof EngineNotifications)[];

export type Method = keyof EngineRequests;
/** The methods of the introduction; everything else comes after it. */
export type Introduction = "hello" | "initialize";
export type ParamsOf<M extends Method> = EngineRequests[M]["params"];
export type ResultOf<M extends Method> = EngineRequests[M]["result"];
export type ProgressOf<M extends Method> = EngineRequests[M]["progress"];

/** `data` of a JSON-RPC error response. */
export interface ErrorData {
  code: ErrorCode;
}
