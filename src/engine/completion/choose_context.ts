import type { CompletionParams } from "../../shared/completion";
import { EngineError } from "../../shared/errors";
import type { ModelHandle } from "../host/model_handle";
import { contextScale, longestPrompt } from "./context_scale";
import { fimFormat } from "./fim_format";
import { earlierLines, fimPrompt, usualBudget, type FimBudget } from "./fim_prompt";

type Place = Pick<CompletionParams, "repository" | "path" | "prefix" | "suffix" | "extracts" | "maxTokens">;

export interface TokenizedPrompt {
  tokens: Int32Array;
  /** Token healing: what the generation has to begin with. */
  beginWith: string;
  /** Whether it stands in for a longer one. */
  brief: boolean;
}

/** Milliseconds that computing the prompt may delay a suggestion; a longer context is computed in the next pause. */
const patience = 1000;

/** Tokens that are computed at once as long as nobody knows how fast the model is. */
const firstPrompt = 256;

/** Of the usual budget; less than the last says too little of the place. */
const shorterShares = [1, 1 / 2, 1 / 4, 1 / 8];

/** As of `contextScale`, which depends on what it was before. */
const scales = new WeakMap<ModelHandle, number>();

/** The longest context for a suggestion at a place. */
export async function wholePrompt(model: ModelHandle, place: Place): Promise<TokenizedPrompt> {
  return (await longestFitting(model, place)).prompt;
}

/** As much context as the model gets, with a smaller budget until it leaves room for the answer. */
async function longestFitting(
  model: ModelHandle,
  place: Place,
): Promise<{ prompt: TokenizedPrompt; budget: FimBudget }> {
  const scale = contextScale(model.prefillSpeed, roomIn(model, place), scales.get(model) ?? 1);
  scales.set(model, scale);
  const room = Math.min(roomIn(model, place), longestPrompt * scale);
  let budget = part(usualBudget, scale);
  for (;;) {
    const prompt = await tokenized(model, place, budget);
    if (prompt.tokens.length <= room) return { prompt, budget };
    if (budget.prefix < 64) {
      throw new EngineError(
        "CONTEXT_TOO_LONG",
        `A context of ${model.contextLength} tokens has no room for a completion of ${place.maxTokens} tokens. Lower nmos.completion.maxTokens.`,
      );
    }
    budget = part(budget, 1 / 2);
  }
}

/**
 * The longest context of which so much is in the KV cache already that the rest is computed in time, else the shortest.
 * In a file just opened that is a short one, and the whole one as soon as a pause was long enough to compute it ahead.
 * Where the beginning of the whole one has moved since, that from the beginning before serves until the next such pause.
 */
export async function promptInTime(model: ModelHandle, place: Place): Promise<TokenizedPrompt> {
  const { prompt: whole, budget } = await longestFitting(model, place);
  if (isInTime(model, whole)) return whole;
  for (const prefix of earlierLines(place.prefix, budget.prefix)) {
    const kept = await tokenized(model, { ...place, prefix }, { ...budget, prefix: Infinity });
    if (kept.tokens.length <= roomIn(model, place) && isInTime(model, kept)) return kept;
  }
  let prompt = whole;
  for (const share of shorterShares) {
    const shorterBudget = part(usualBudget, share);
    if (shorterBudget.prefix >= budget.prefix) continue;
    const shorter = await tokenized(model, place, shorterBudget);
    // Text of which a character makes a token or more was cut further already.
    if (shorter.tokens.length < prompt.tokens.length) prompt = { ...shorter, brief: true };
    if (isInTime(model, prompt)) break;
  }
  return prompt;
}

/** Tokens that a prompt may take at most. */
function roomIn({ contextLength }: ModelHandle, { maxTokens }: Place): number {
  return contextLength - maxTokens;
}

/** Whether what is not in the KV cache yet is computed in time. */
export function isInTime(model: ModelHandle, prompt: TokenizedPrompt): boolean {
  const speed = model.prefillSpeed;
  const affordable = speed === undefined ? firstPrompt : Math.max(firstPrompt / 4, speed * patience);
  return model.missingTokens(prompt.tokens, prompt) <= affordable;
}

async function tokenized(model: ModelHandle, place: Place, budget: FimBudget): Promise<TokenizedPrompt> {
  const { parts, beginWith } = fimPrompt(model.info, await fimFormat(model), place, budget);
  return { tokens: await model.tokenize(parts), beginWith, brief: false };
}

function part({ prefix, suffix, extracts }: FimBudget, share: number): FimBudget {
  return { prefix: prefix * share, suffix: suffix * share, extracts: extracts * share };
}
