import type { ChatMessage } from "../../src/shared/chat";

/** What all contenders of a run have in common. */
export interface Conditions {
  modelPath: string;
  /** Processor threads of a pass. */
  threads: number;
  /** Tokens. */
  contextLength: number;
}

export interface PrefillSample {
  tokensPerSecond: number;
  /** From the request to the first text; null where there is neither request nor text. */
  firstTextMs: number | null;
}

/** A text to be continued: its messages and how many tokens they make in the model's chat format. */
export interface Prompt {
  messages: ChatMessage[];
  tokens: number;
}

/** Length of the prompt that does not count: enough to have everything at work, and soon done. */
export const warmUpTokens = 64;

/** One of the programs that are measured side by side. */
export interface Contender {
  /** Processes of it that outlive a sample. */
  processIds(): number[];
  /**
   * Computes a prompt of about so many tokens with an empty KV cache, right after a short one that does not count:
   * llama-bench warms up before each measurement, so the threads and caches of the others must be awake as well.
   */
  prefill(tokens: number): Promise<PrefillSample>;
  /** Decodes `tokens` tokens, one after the other, behind about `depth` others; tokens per second. */
  decode(depth: number, tokens: number): Promise<number>;
  close(): Promise<void>;
}

/** Greedy answers end where the model wants: asks again, with another prompt, until one is long enough. */
export async function untilLongEnough(attempt: () => Promise<number | null>): Promise<number> {
  const attempts = 5;
  for (let count = 0; count < attempts; count++) {
    const value = await attempt();
    if (value !== null) return value;
  }
  throw new Error(`Expected an answer that goes on to the length limit, got ${attempts} shorter ones.`);
}
