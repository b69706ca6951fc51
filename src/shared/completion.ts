/** Requests for text at a place in a document: ghost text, its check by the main model, and both ahead of need. */
import type { FinishReason, Usage } from "./generation";
import type { ModelChoice, ModelRef } from "./models";

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
