import type { CompletionParams, CompletionPrefillParams, CompletionResult } from "../../shared/completion";
import type { AheadResult, Priority } from "../../shared/generation";
import type { GenerateResult, PrefillResult } from "../native/addon";
import { noGuesses, sumOfGuesses } from "../guesses";
import type { ModelHandle } from "../host/model_handle";
import { promptInTime, wholePrompt, type TokenizedPrompt } from "./choose_context";
import { withPlainLineEnds } from "./line_ends";
import { wantsSeveralLines } from "./multiline";
import { isComplete, postProcess, type SuggestionPlace } from "./post_process";

/** Milliseconds of writing after which no further line of a suggestion is begun: on the screen it is when it is finished. */
const longestWriting = 1000;

/** Characters around the cursor that a suggestion is compared with, anew with every token. */
const nearby = 4000;

export interface CompleteOptions {
  signal: AbortSignal;
  /** What may come out; verified before anything else is guessed. */
  draft?: string;
  /** Text as it is generated, before post-processing. */
  onText?: (text: string) => void;
  /** Default: `suggest`, the most urgent one. */
  priority?: Priority;
  /** Milliseconds; default: the time of this process. */
  now?: () => number;
}

/** What is generated at a cursor. */
export type Completion = Omit<CompletionResult, "model">;

/** The text to insert at a cursor: greedy, ended as soon as no more of it would be shown, or with a line when it takes long. */
export async function completeCode(
  model: ModelHandle,
  params: CompletionParams,
  options: CompleteOptions,
): Promise<Completion> {
  const plain = withPlainLineEnds(params);
  return completePrompt(model, plain, await promptInTime(model, plain), options);
}

/** As `completeCode`, at a place with plain line ends, from a prompt that was chosen already. */
export async function completePrompt(
  model: ModelHandle,
  params: CompletionParams,
  { tokens, beginWith, brief }: TokenizedPrompt,
  { signal, onText, draft, priority = "suggest", now = () => performance.now() }: CompleteOptions,
): Promise<Completion> {
  const { languageId, lines, maxTokens, prefix, suffix } = params;
  const severalLines = lines === "multi" || (lines === "auto" && wantsSeveralLines(prefix, suffix, languageId));
  const place: SuggestionPlace = { prefix: prefix.slice(-nearby), suffix: suffix.slice(0, nearby), severalLines };
  // An empty file says nothing to a model that knows no token for its beginning.
  if (tokens.length === 0) return nothing;
  const expected = draft === undefined ? undefined : [{ text: beginWith + draft, special: false }];
  const draftTokens = expected && (await model.tokenize(expected, { addBos: false }));

  const enough = new AbortController();
  const late = new AbortController();
  let text = "";
  let begun: number | undefined;
  const result = await model.generate({
    tokens,
    priority,
    brief,
    maxTokens,
    beginWith,
    ...(draftTokens && { draftTokens }),
    rate: true,
    stop: severalLines ? [] : ["\n"],
    signal: AbortSignal.any([signal, enough.signal]),
    onText: (more) => {
      if (enough.signal.aborted) return;
      text += more;
      onText?.(more);
      begun ??= now();
      const isLate = severalLines && now() - begun > longestWriting;
      if (isLate && withoutUnfinishedLine(text) !== text) late.abort();
      if (late.signal.aborted || isComplete(text, place)) enough.abort();
    },
  });
  return {
    text: postProcess(
      late.signal.aborted || result.finish === "length" ? withoutUnfinishedLine(result.text) : result.text,
      place,
    ),
    finish: result.finish === "cancelled" && enough.signal.aborted && !signal.aborted ? "stop" : result.finish,
    confidence: result.confidence,
    usage: usageOf(result),
  };
}

const nothing: Completion = {
  text: "",
  finish: "stop",
  confidence: null,
  usage: {
    ...noGuesses,
    promptTokens: 0,
    reusedTokens: 0,
    completionTokens: 0,
    queuedMs: 0,
    prefillMs: 0,
    decodeMs: 0,
    decodePasses: 0,
  },
};

type Ahead = NonNullable<AheadResult>;

/** Tokens that are computed while the user types. */
const fewTokens = 16;

const nothingAhead: Ahead = { promptTokens: 0, computedTokens: 0, computeMs: 0, cancelled: false };

/**
 * Computes the KV cache for a suggestion at a cursor ahead. The whole context takes seconds where there is nothing of it yet: what
 * a suggestion that is asked for before that would be made from comes first.
 */
export async function prefillCompletion(
  model: ModelHandle,
  params: CompletionPrefillParams,
  { signal }: { signal: AbortSignal },
): Promise<Ahead> {
  const typed = params.reach === "typed";
  // Until its turn came the next key would be there.
  if (typed && model.isAwaited) return nothingAhead;
  const place = withPlainLineEnds(params);
  const prefill = async ({ tokens, brief }: TokenizedPrompt) =>
    aheadResult(await model.prefill({ tokens, brief, priority: "warm", signal }));
  const atOnce = await promptInTime(model, place);
  const missing = model.missingTokens(atOnce.tokens, atOnce);
  if (atOnce.tokens.length === 0) return nothingAhead;
  if (typed) return missing > fewTokens ? { ...nothingAhead, promptTokens: atOnce.tokens.length } : prefill(atOnce);
  const first = atOnce.brief && missing > 0 ? await prefill(atOnce) : nothingAhead;
  if (signal.aborted) return { ...first, cancelled: true };
  const whole = await wholePrompt(model, place);
  const rest = await prefill(whole);
  return {
    promptTokens: rest.promptTokens,
    computedTokens: first.computedTokens + rest.computedTokens,
    computeMs: first.computeMs + rest.computeMs,
    cancelled: rest.cancelled,
  };
}

export function aheadResult({ promptTokens, computedTokens, computeMs, cancelled }: PrefillResult): Ahead {
  return { promptTokens, computedTokens, computeMs, cancelled };
}

/** Of several lines the last one goes: accepting half a statement makes work. */
function withoutUnfinishedLine(text: string): string {
  const finished = text.slice(0, Math.max(0, text.lastIndexOf("\n")));
  return finished.trim() === "" ? text : finished;
}

/** What a generation cost, in the protocol's terms. */
export function usageOf(result: GenerateResult): CompletionResult["usage"] {
  const { promptTokens, reusedTokens, queuedMs, prefillMs, decodeMs, decodePasses } = result;
  return {
    ...sumOfGuesses(noGuesses, result),
    promptTokens,
    reusedTokens,
    completionTokens: result.tokens.length,
    queuedMs,
    prefillMs,
    decodeMs,
    decodePasses,
  };
}
