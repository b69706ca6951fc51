import type { ConversationSummary } from "../../shared/chat_messages";
import { afterReload, emptyConversation, type Conversation } from "./conversation";

/** The part of `vscode.Memento` that is needed. */
export interface Memory {
  get(key: string): unknown;
  update(key: string, value: unknown): Thenable<void>;
}

const key = "nmos.chat.conversations";
const mostConversations = 30;

interface Kept {
  current: string;
  /** Most recent first. */
  conversations: Conversation[];
}

/** The conversations of a workspace, the current one among them. An empty one is not kept. */
export class ConversationStore {
  private kept: Kept;

  constructor(private readonly memory: Memory) {
    const read = memory.get(key) as Kept | undefined;
    const conversations = (read?.conversations ?? []).map(afterReload);
    const current = conversations.find(({ id }) => id === read?.current) ?? conversations[0] ?? fresh();
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
    void this.memory.update(key, { current, conversations: worthKeeping });
  }
}

function putFirst(conversations: readonly Conversation[], first: Conversation): Conversation[] {
  return [first, ...conversations.filter(({ id }) => id !== first.id)];
}

function fresh(): Conversation {
  return emptyConversation(crypto.randomUUID());
}
