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
import type { ArchiveInstalled } from "./archive";
import type { ChatMessage, ChatParams, ChatPrefillParams, ChatResult, CountTokensResult } from "./chat";
import type {
  CheckPrefillParams,
  CompletionAheadParams,
  CompletionCheckParams,
  CompletionParams,
  CompletionPrefillParams,
  CompletionResult,
} from "./completion";
import type { DownloadProgress } from "./download_progress";
import type { EngineSettings } from "./engine_settings";
import type { EngineStatus, LoadedModel } from "./engine_status";
import type { ErrorCode } from "./errors";
import type { AheadResult } from "./generation";
import type { HelloParams, HelloResult, InitializeParams, InitializeResult } from "./introduction";
import type { MachineReport, SelfTestStep } from "./machine_report";
import type { ModelChoice, ModelRef, ModelRole, ModelState } from "./models";
import type { PackInstalled, PackReport } from "./packs";
import type { QuantiseParams, QuantisePlan, QuantiseProgress, QuantiseResult } from "./quantise";

/** Raised by one with every incompatible change; both ends must agree exactly. */
export const PROTOCOL_VERSION = 10;

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
  /**
   * Installs what an archive for machines without a network holds, all of it checked as downloads are. Fails with
   * `INVALID_ARGUMENT`, `CHECKSUM_MISMATCH` or `DISK_FULL` before anything is copied, and with the codes of downloads; what was
   * installed before a failure stays.
   */
  "archive/install": Call<{ path: string; progressToken?: string }, ArchiveInstalled, DownloadProgress>;
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
