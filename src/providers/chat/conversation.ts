import type { ChatMessage, ChatResult } from "../../shared/chat";
import type { Attachment, ChatEntry } from "../../shared/chat_messages";
import { codeBlock } from "../../shared/code_block";
import { toEngineError } from "../../shared/errors";

/** A conversation as it is kept per workspace. Values are never changed in place. */
export interface Conversation {
  id: string;
  title: string;
  entries: ChatEntry[];
}

const longestTitle = 48;

export function emptyConversation(id: string): Conversation {
  return { id, title: "New conversation", entries: [] };
}

/** Adds a question and an answer that is about to stream in. The first question names the conversation. */
export function ask(conversation: Conversation, text: string, attachments: readonly Attachment[]): Conversation {
  const id = nextId(conversation);
  const question: ChatEntry = { id, role: "user", text, attachments: [...attachments], status: "complete" };
  const title = conversation.entries.length === 0 ? titleOf(text) : conversation.title;
  return { ...conversation, title, entries: [...conversation.entries, question, pending(id + 1)] };
}

/** Asks the last question again, without the answer it has. */
export function regenerate(conversation: Conversation): Conversation {
  const last = conversation.entries.findLastIndex(({ role }) => role === "user");
  if (last < 0) return conversation;
  return { ...conversation, entries: [...conversation.entries.slice(0, last + 1), pending(nextId(conversation))] };
}

/** Asks a changed question in the place of an earlier one; what came after it goes. */
export function resend(conversation: Conversation, id: number, text: string): Conversation {
  const index = conversation.entries.findIndex((entry) => entry.id === id && entry.role === "user");
  const question = conversation.entries[index];
  if (!question) return conversation;
  const changed = ask({ ...conversation, entries: conversation.entries.slice(0, index) }, text, question.attachments);
  // A name that the user gave stays.
  return conversation.title === titleOf(question.text) ? changed : { ...changed, title: conversation.title };
}

/** The answer that is streaming in, if there is one. */
export function streaming({ entries }: Conversation): ChatEntry | undefined {
  return entries.findLast(({ status }) => status === "streaming");
}

export function appendText(conversation: Conversation, text: string): Conversation {
  return updateStreaming(conversation, (entry) => ({ ...entry, text: entry.text + text }));
}

export function finish(conversation: Conversation, result: ChatResult): Conversation {
  const { usage, droppedMessages } = result;
  const seconds = usage.decodeMs / 1000;
  const tokensPerSecond = seconds > 0 ? usage.completionTokens / seconds : 0;
  const { draftedTokens: drafted, acceptedTokens: accepted, savedMs } = usage;
  const guesses = { drafted, accepted, savedSeconds: savedMs / 1000 };
  return updateStreaming(conversation, (entry) => ({
    ...entry,
    text: result.text,
    status: result.finish === "cancelled" ? "stopped" : "complete",
    stats: {
      tokens: usage.completionTokens,
      tokensPerSecond,
      droppedMessages,
      ...(guesses.drafted > 0 && { guesses }),
    },
    ...(result.finish === "length" && { error: { code: "CONTEXT_TOO_LONG", message: cutOff(result) } }),
  }));
}

function cutOff({ usage, contextLength }: ChatResult): string {
  return usage.promptTokens + usage.completionTokens >= contextLength
    ? "The answer was cut off because the context is full. Start a new conversation, or raise nmos.engine.contextLength."
    : "The answer was cut off at its maximum length (nmos.chat.maxTokens).";
}

/** Ends the answer with what there is of it, and with the reason unless the user stopped it. */
export function fail(conversation: Conversation, thrown: unknown): Conversation {
  const { code, message } = toEngineError(thrown);
  if (code === "CANCELLED") return updateStreaming(conversation, (entry) => ({ ...entry, status: "stopped" }));
  return updateStreaming(conversation, (entry) => ({ ...entry, status: "failed", error: { code, message } }));
}

/** A conversation that was kept while an answer was streaming: that answer will not go on. */
export function afterReload(conversation: Conversation): Conversation {
  return updateStreaming(conversation, (entry) => ({
    ...entry,
    status: "stopped",
    error: { code: "CANCELLED", message: "The window was closed while this answer was written." },
  }));
}

/** What the model is asked: the system prompt, and every message with its attachments in front. */
export function toMessages({ entries }: Conversation, systemPrompt: string): ChatMessage[] {
  const messages: ChatMessage[] = systemPrompt.trim() === "" ? [] : [{ role: "system", content: systemPrompt }];
  for (const entry of entries) {
    const content = withAttachments(entry.text, entry.attachments);
    if (entry.status !== "streaming" && content !== "") messages.push({ role: entry.role, content });
  }
  return messages;
}

export function withAttachments(text: string, attachments: readonly Attachment[]): string {
  return [...attachments.map(describe), text].filter((part) => part !== "").join("\n\n");
}

function describe({ kind, label, languageId, content }: Attachment): string {
  if (kind === "problems") return `Problems reported in ${label}:\n${content}`;
  return `${label}:\n${codeBlock(content.trimEnd(), languageId)}`;
}

function pending(id: number): ChatEntry {
  return { id, role: "assistant", text: "", attachments: [], status: "streaming" };
}

function nextId({ entries }: Conversation): number {
  return Math.max(0, ...entries.map(({ id }) => id)) + 1;
}

function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length <= longestTitle ? line : `${line.slice(0, longestTitle - 1).trimEnd()}…`;
}

function updateStreaming(conversation: Conversation, update: (entry: ChatEntry) => ChatEntry): Conversation {
  const entries = conversation.entries.map((entry) => (entry.status === "streaming" ? update(entry) : entry));
  return { ...conversation, entries };
}
