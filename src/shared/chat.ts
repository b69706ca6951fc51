/** Requests about a conversation. Lengths in tokens. */
import type { FinishReason, Usage } from "./generation";
import type { ModelChoice, ModelRef } from "./models";

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
  /**
   * Makes tokens likelier or less likely, at most 512 of them, by their numbers in the model's vocabulary: `bias` is added to the
   * token's logit before the repeat penalty and all else, from -1e9 to 1e9; "never": the token does not come. A grammar holds
   * nevertheless: where both together leave no token, the request fails with `INVALID_ARGUMENT`.
   */
  logitBias?: { token: number; bias: number | "never" }[];
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

export interface ChatPrefillParams extends Pick<ChatParams, "model" | "messages" | "maxTokens"> {
  /** Whether the user is at it: the model is then in use, and what it gave back of graphics memory is filled again. */
  wake: boolean;
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
