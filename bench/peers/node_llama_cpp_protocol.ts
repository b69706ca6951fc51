/** What the benchmark and its node-llama-cpp process say to each other over Node's own channel. */
import type { ChatMessage } from "../../src/shared/chat";
import type { Conditions } from "../stack/contender";

export interface WorkerRequest {
  messages: ChatMessage[];
  maxTokens: number;
}

export interface WorkerStart {
  /** Folder whose `node_modules` holds node-llama-cpp. */
  directory: string;
  conditions: Conditions;
  /** Who guesses tokens; nobody without it. Each as it is by default. */
  predictor?: { kind: "input lookup" } | { kind: "draft model"; path: string };
}

/** Milliseconds since the request; tokens that came out. */
export interface WorkerAnswer {
  promptTokens: number;
  tokens: number;
  firstMs: number;
  lastMs: number;
}

export type WorkerReply = { ready: true } | { answer: WorkerAnswer } | { error: string };
