import type { ConversationSummary } from "../../shared/chat_messages";
import { afterReload, emptyConversation, type Conversation } from "./conversation";

/** The part of `vscode.Memento` that is needed. */
export interface Memory {
  get(key: string): unknown;
  update(key: string, value: unknown): Thenable<void>;
}

const key = "nmos.chat.conversations";
const mostConversations = 30;

/** Characters kept of all conversations: VS Code reads and writes all of them at once. */
const longestMemory = 1_000_000;

interface Kept {
  current: string;
  /** Most recent first. */
  conversations: Conversation[];
}

/** The conversations of a workspace, the current one among them. An empty one is not kept. */
export class ConversationStore {
  private kept: Kept;

  constructor(private readonly memory: Memory) {
    const read = readKept(memory.get(key));
    const conversations = read.conversations.map(afterReload);
    const current = conversations.find(({ id }) => id === read.current) ?? conversations[0] ?? fresh();
    this.kept = { current: current.id, conversations: putFirst(conversations, current) };
  }

  get current(): Conversation {
    return this.kept.conversations.find(({ id }) => id === this.kept.current) ?? this.create();
  }

  summaries(): ConversationSummary[] {
    return this.kept.conversations.map(({ id, title }) => ({ id, title }));
  }

  /** Starts a conversation and makes it the current one; an empty current one is used instead. */
  create(): Conversation {
    const present = this.kept.conversations.find(({ id }) => id === this.kept.current);
    const next = present?.entries.length === 0 ? present : fresh();
    this.keep(next.id, putFirst(this.kept.conversations, next));
    return next;
  }

  open(id: string): void {
    if (this.kept.conversations.some((conversation) => conversation.id === id)) this.keep(id, this.kept.conversations);
  }

  /** Replaces a conversation that was changed. One that has been deleted meanwhile stays deleted. */
  put(conversation: Conversation): void {
    if (!this.kept.conversations.some(({ id }) => id === conversation.id)) return;
    this.keep(this.kept.current, putFirst(this.kept.conversations, conversation));
  }

  rename(id: string, title: string): void {
    const conversations = this.kept.conversations.map((one) => (one.id === id ? { ...one, title } : one));
    this.keep(this.kept.current, conversations);
  }

  delete(id: string): void {
    const left = this.kept.conversations.filter((conversation) => conversation.id !== id);
    const current = left.find((conversation) => conversation.id === this.kept.current) ?? left[0] ?? fresh();
    this.keep(current.id, left.includes(current) ? left : [current, ...left]);
  }

  private keep(current: string, conversations: Conversation[]): void {
    this.kept = { current, conversations: conversations.slice(0, mostConversations) };
    const worthKeeping = this.kept.conversations.filter(({ entries }) => entries.length > 0);
    void this.memory.update(key, { current, conversations: withinMemory(worthKeeping) });
  }
}

/** What an earlier version or a damaged file left is passed over. */
function readKept(value: unknown): Kept {
  const { current, conversations } = (value ?? {}) as Partial<Record<keyof Kept, unknown>>;
  return {
    current: typeof current === "string" ? current : "",
    conversations: Array.isArray(conversations) ? conversations.filter(isConversation) : [],
  };
}

function isConversation(value: unknown): value is Conversation {
  const { id, title, entries } = (value ?? {}) as Partial<Record<keyof Conversation, unknown>>;
  return typeof id === "string" && typeof title === "string" && Array.isArray(entries);
}

/** The most recent conversations that fit; always the first one. */
function withinMemory(conversations: readonly Conversation[]): Conversation[] {
  let length = 0;
  const end = conversations.findIndex((conversation, index) => {
    length += sizeOf(conversation);
    return index > 0 && length > longestMemory;
  });
  return end < 0 ? [...conversations] : conversations.slice(0, end);
}

function sizeOf({ entries }: Conversation): number {
  const lengths = entries.flatMap(({ text, attachments }) => [text, ...attachments.map(({ content }) => content)]);
  return lengths.reduce((sum, text) => sum + text.length, 0);
}

function putFirst(conversations: readonly Conversation[], first: Conversation): Conversation[] {
  return [first, ...conversations.filter(({ id }) => id !== first.id)];
}

function fresh(): Conversation {
  return emptyConversation(crypto.randomUUID());
}
