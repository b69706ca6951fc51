import type { ChatMessage, ChatParams, ChatResult, SamplingOptions } from "../../shared/chat";
import { EngineError, toEngineError } from "../../shared/errors";
import type { AheadResult } from "../../shared/generation";
import { aheadResult, usageOf } from "../completion/complete_code";
import type { ModelHandle } from "../host/model_handle";
import type { SamplerOptions } from "../native/addon";
import { renderChat } from "./chat_template";
import { trimHistory } from "./trim_history";

/** Longest answer when the client sets no limit, and the room that is kept for one. */
const usualAnswer = 2048;

/** An answer gets at least this part of the context, however long the conversation is. */
const answerShare = 0.25;

/** Answers a conversation, streaming; the oldest messages are left out when it has grown beyond the context. */
export async function answerChat(
  model: ModelHandle,
  params: ChatParams,
  { signal, onText }: { signal: AbortSignal; onText: (text: string) => void },
): Promise<Omit<ChatResult, "model">> {
  const { wanted, budget } = lengths(model, params.maxTokens);
  const { tokens, dropped } = await trimHistory(checked(params.messages), budget, (messages) =>
    tokensOf(model, messages, true),
  );
  const result = await model.generate({
    tokens,
    priority: "chat",
    maxTokens: Math.min(wanted, model.contextLength - tokens.length),
    sampler: samplerOf(params.sampling),
    stop: params.sampling?.stop ?? [],
    signal,
    onText,
  });
  return {
    text: result.text,
    finish: result.finish,
    usage: usageOf(result),
    droppedMessages: dropped,
    contextLength: model.contextLength,
  };
}

/** Computes the KV cache of a conversation ahead, of its last message as far as that is the same when it goes on. */
export async function prefillChat(
  model: ModelHandle,
  { messages, maxTokens }: Pick<ChatParams, "messages" | "maxTokens">,
  { signal }: { signal: AbortSignal },
): Promise<AheadResult> {
  const { budget } = lengths(model, maxTokens);
  const kept = await asAnswered(model, checked(messages), budget);
  const last = kept.at(-1);
  if (!last) return { promptTokens: 0, computedTokens: 0, computeMs: 0, cancelled: false };
  const now = await tokensOf(model, kept, false);
  const goingOn = await tokensOf(model, [...kept.slice(0, -1), { ...last, content: `${last.content}…` }], false);
  const differs = now.findIndex((token, index) => token !== goingOn[index]);
  const tokens = now.slice(0, Math.min(budget, differs < 0 ? now.length : differs));
  return aheadResult(await model.prefill({ tokens, priority: "warm", signal }));
}

/** What of the conversation the answer will be given; nothing when it will be refused. */
async function asAnswered(
  model: ModelHandle,
  messages: readonly ChatMessage[],
  budget: number,
): Promise<readonly ChatMessage[]> {
  if (messages.every(({ role }) => role === "system")) return messages;
  try {
    return (await trimHistory(messages, budget, (some) => tokensOf(model, some, true))).messages;
  } catch (thrown) {
    if (toEngineError(thrown).code === "CONTEXT_TOO_LONG") return [];
    throw thrown;
  }
}

/** Tokens that the answer and the prompt may take. */
function lengths(model: ModelHandle, wanted = usualAnswer): { wanted: number; budget: number } {
  if (!Number.isInteger(wanted) || wanted < 1) {
    throw new EngineError("INVALID_ARGUMENT", `Expected maxTokens to be a whole number of 1 or more, got ${wanted}.`);
  }
  return { wanted, budget: model.contextLength - Math.min(wanted, Math.ceil(model.contextLength * answerShare)) };
}

/** Tokens of a conversation as the next answer would get it. A chat that has not begun takes none. */
export async function countChatTokens(
  model: ModelHandle,
  messages: readonly ChatMessage[],
): Promise<{ tokens: number; contextLength: number }> {
  const tokens = messages.length === 0 ? 0 : (await tokensOf(model, messages, true)).length;
  return { tokens, contextLength: model.contextLength };
}

function tokensOf(
  model: ModelHandle,
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
): Promise<Int32Array> {
  const { parts, addBos } = renderChat(model.info, messages, { addGenerationPrompt });
  return model.tokenize(parts, { addBos });
}

function checked(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  if (messages.length === 0) throw new EngineError("INVALID_ARGUMENT", "Expected at least one message, got none.");
  return messages;
}

/** The sampler's own defaults hold for what is not given, and a random seed where sampling is asked for. */
function samplerOf(sampling: SamplingOptions = {}): SamplerOptions {
  const options: SamplingOptions = { ...sampling };
  delete options.stop;
  const random = (options.temperature ?? 0) > 0 && options.seed === undefined;
  return random ? { ...options, seed: Math.floor(Math.random() * 2 ** 32) } : options;
}
