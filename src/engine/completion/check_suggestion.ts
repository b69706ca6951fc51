import type { CheckPrefillParams, CompletionCheckParams } from "../../shared/completion";
import type { AheadResult } from "../../shared/generation";
import type { ModelHandle } from "../host/model_handle";
import { isInTime, wholePrompt } from "./choose_context";
import { aheadResult, completePrompt, type Completion } from "./complete_code";
import { fimFormat } from "./fim_format";
import { withPlainLineEnds } from "./line_ends";

/**
 * What a model suggests in place of the suggestion of a smaller one, which is the draft of its own: where the two agree, the
 * passes verify many tokens each, and behind a difference it goes on by itself. Null where it was not trained to fill in, and
 * where so much of the prompt is missing that the user has read the suggestion before: `prefillCheck` computes that ahead.
 */
export async function checkSuggestion(
  model: ModelHandle,
  params: CompletionCheckParams,
  { signal }: { signal: AbortSignal },
): Promise<Completion | null> {
  if (!(await fimFormat(model))) return null;
  const plain = withPlainLineEnds(params);
  // Never a brief one; how much a whole one is follows the speed of the model that checks.
  const prompt = await wholePrompt(model, plain);
  if (!isInTime(model, prompt)) return null;
  return completePrompt(model, plain, prompt, { signal, priority: "warm", draft: params.suggestion });
}

/** Computes the KV cache for checking suggestions at a cursor ahead. Null where the model does not check any. */
export async function prefillCheck(
  model: ModelHandle,
  params: CheckPrefillParams,
  { signal }: { signal: AbortSignal },
): Promise<AheadResult> {
  if (!(await fimFormat(model))) return null;
  const { tokens } = await wholePrompt(model, withPlainLineEnds(params));
  if (tokens.length === 0) return null;
  return aheadResult(await model.prefill({ tokens, priority: "warm", signal }));
}
