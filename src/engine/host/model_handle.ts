import type { GenerateResult, NativeModelInfo, PrefillResult, PromptPart, SamplerOptions } from "../native/addon";
import type { Priority } from "../../shared/generation";
import type { ModelRef } from "../../shared/models";

export interface PrefillRequest {
  tokens: Int32Array;
  priority: Priority;
  /** A short prompt that stands in for a longer one and must not take what is in the KV cache for that. */
  brief?: boolean;
  signal?: AbortSignal;
}

export interface GenerateRequest extends PrefillRequest {
  maxTokens: number;
  sampler?: SamplerOptions;
  stop?: string[];
  /** Token healing: the output is forced to begin with this text, which is not handed out again. */
  beginWith?: string;
  /** What the whole answer may be, `beginWith` included; is verified before anything else is guessed. */
  draftTokens?: Int32Array;
  /** Whether the result says how confident the model was. */
  rate?: boolean;
  /** Whole characters, in order, never part of a stop string. */
  onText?: (text: string) => void;
}

/**
 * A loaded model as completion and chat see it: a tokenizer, a context length and a pool of sessions from which
 * every request takes the free one that shares the longest prefix with it. Aborting a signal is an ordinary
 * outcome: the result says `cancelled`.
 */
export interface ModelHandle {
  readonly ref: ModelRef;
  readonly info: NativeModelInfo;
  /** Tokens that prompt and answer may take together. */
  readonly contextLength: number;
  /** Tokens a millisecond that prefills have computed lately; undefined: there was none yet. */
  readonly prefillSpeed: number | undefined;
  /** Whether it computes something that somebody waits for: what is computed ahead has to wait for that. */
  readonly isAwaited: boolean;
  /** How many of the tokens a request with this prompt would have to compute. */
  missingTokens(tokens: Int32Array, options?: Pick<PrefillRequest, "brief">): number;
  tokenize(parts: PromptPart[], options?: { addBos?: boolean }): Promise<Int32Array>;
  detokenize(tokens: Int32Array, options?: { special?: boolean }): Promise<string>;
  prefill(request: PrefillRequest): Promise<PrefillResult>;
  generate(request: GenerateRequest): Promise<GenerateResult>;
}
