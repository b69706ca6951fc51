import { EngineError } from "../../shared/errors";
import type { ChatMessage, ChatParams, ChatResult, SamplingOptions } from "../../shared/protocol";
import { usageOf } from "../completion/complete_code";
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
  const wanted = params.maxTokens ?? usualAnswer;
  if (!Number.isInteger(wanted) || wanted < 1) {
    throw new EngineError("INVALID_ARGUMENT", `Expected maxTokens to be a whole number of 1 or more, got ${wanted}.`);
  }
  const reserve = Math.min(wanted, Math.ceil(model.contextLength * answerShare));
  const { tokens, dropped } = await trimHistory(checked(params.messages), model.contextLength - reserve, (messages) =>
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

/** Computes the KV cache of a conversation's beginning ahead of the question. Fills at most what an answer leaves. */
export async function prefillChat(
  model: ModelHandle,
  messages: readonly ChatMessage[],
  { signal }: { signal: AbortSignal },
): Promise<{ promptTokens: number; computedTokens: number }> {
  const budget = Math.floor(model.contextLength * (1 - answerShare));
  const tokens = (await tokensOf(model, checked(messages), false)).slice(0, budget);
  const { promptTokens, computedTokens } = await model.prefill({ tokens, priority: "warm", signal });
  return { promptTokens, computedTokens };
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
