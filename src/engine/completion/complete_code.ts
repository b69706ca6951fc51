import { EngineError } from "../../shared/errors";
import type { CompletionParams, CompletionResult } from "../../shared/protocol";
import type { GenerateResult } from "../native/addon";
import type { ModelHandle } from "../host/model_handle";
import { fimPrompt, usualBudget, type FimBudget } from "./fim_prompt";
import { wantsSeveralLines } from "./multiline";
import { isComplete, postProcess, type SuggestionPlace } from "./post_process";

/** Tokens that a processor without a card computes in about ten seconds on a model of half a billion parameters. */
const longestPrompt = 2560;

/** Characters around the cursor that a suggestion is compared with, anew with every token. */
const nearby = 4000;

export interface CompleteOptions {
  signal: AbortSignal;
  /** Text as it is generated, before post-processing. */
  onText: (text: string) => void;
}

/** The text to insert at a cursor: greedy, most urgent, ended as soon as no more of it would be shown. */
export async function completeCode(
  model: ModelHandle,
  params: CompletionParams,
  { signal, onText }: CompleteOptions,
): Promise<Omit<CompletionResult, "model">> {
  const { languageId, lines, maxTokens } = params;
  // Models are trained on text with plain line ends, and editors put back their own.
  const prefix = params.prefix.replaceAll("\r\n", "\n");
  const suffix = params.suffix.replaceAll("\r\n", "\n");
  const severalLines = lines === "multi" || (lines === "auto" && wantsSeveralLines(prefix, suffix, languageId));
  const place: SuggestionPlace = { prefix: prefix.slice(-nearby), suffix: suffix.slice(0, nearby), severalLines };
  const { tokens, beginWith } = await promptTokens(model, { ...params, prefix, suffix });

  const enough = new AbortController();
  let text = "";
  const result = await model.generate({
    tokens,
    priority: "suggest",
    maxTokens,
    beginWith,
    stop: severalLines ? [] : ["\n"],
    signal: AbortSignal.any([signal, enough.signal]),
    onText: (more) => {
      if (enough.signal.aborted) return;
      text += more;
      onText(more);
      if (isComplete(text, place)) enough.abort();
    },
  });
  return {
    text: postProcess(result.finish === "length" ? withoutUnfinishedLine(result.text) : result.text, place),
    finish: result.finish === "cancelled" && enough.signal.aborted && !signal.aborted ? "stop" : result.finish,
    usage: usageOf(result),
  };
}

/** Of several lines the last one goes: accepting half a statement makes work. */
function withoutUnfinishedLine(text: string): string {
  const finished = text.slice(0, Math.max(0, text.lastIndexOf("\n")));
  return finished.trim() === "" ? text : finished;
}

/** What a generation cost, in the protocol's terms. */
export function usageOf(result: GenerateResult): CompletionResult["usage"] {
  const { promptTokens, reusedTokens, queuedMs, prefillMs, decodeMs } = result;
  const { decodePasses, draftedTokens, acceptedTokens } = result;
  return {
    promptTokens,
    reusedTokens,
    completionTokens: result.tokens.length,
    queuedMs,
    prefillMs,
    decodeMs,
    decodePasses,
    draftedTokens,
    acceptedTokens,
  };
}

/**
 * The prompt's tokens, with smaller budgets until they leave room for the answer. Text of which a character makes a
 * token or more is cut in this way as well.
 */
async function promptTokens(model: ModelHandle, { path, prefix, suffix, extracts, maxTokens }: CompletionParams) {
  const room = model.contextLength - maxTokens;
  let budget: FimBudget = usualBudget;
  for (;;) {
    const { parts, beginWith } = fimPrompt(model.info, { path, prefix, suffix, extracts }, budget);
    const tokens = await model.tokenize(parts);
    if (tokens.length <= Math.min(room, longestPrompt)) return { tokens, beginWith };
    if (budget.prefix < 64) {
      throw new EngineError(
        "CONTEXT_TOO_LONG",
        `A context of ${model.contextLength} tokens has no room for a completion of ${maxTokens} tokens. Lower nmos.completion.maxTokens.`,
      );
    }
    budget = { prefix: budget.prefix / 2, suffix: budget.suffix / 2, extracts: budget.extracts / 2 };
  }
}
