import type { EngineClient } from "../../engine/client/engine_client";
import type { Attachment, ChatState, ModelOption, ToView } from "../../shared/chat_messages";
import type { ChatResult } from "../../shared/protocol";
import {
  appendText,
  ask,
  fail,
  finish,
  regenerate,
  resend,
  streaming,
  toMessages,
  withAttachments,
  type Conversation,
} from "./conversation";
import type { ConversationStore } from "./conversation_store";

export interface ChatSettings {
  model: string;
  systemPrompt: string;
  temperature: number;
  maxTokens: number;
}

export interface ChatSessionOptions {
  engine: EngineClient;
  store: ConversationStore;
  settings: () => ChatSettings;
  /** Sends to the view, if there is one. */
  post: (message: ToView) => void;
}

/** Milliseconds without a keystroke before the tokens of a draft are counted. */
const countDelay = 400;

/**
 * The chat behind the view: the current conversation, what is attached, and the answer under way. Knows nothing of
 * VS Code. An answer goes on while the view is closed or shows another conversation.
 */
export class ChatSession {
  private attachments: Attachment[] = [];
  private draft = "";
  private models: ModelOption[] = [];
  private meter: ChatState["meter"] = null;
  private running: { conversation: Conversation; controller: AbortController } | null = null;
  private counting: NodeJS.Timeout | undefined;

  constructor(private readonly options: ChatSessionOptions) {}

  state(): ChatState {
    const conversation = this.running?.conversation ?? this.options.store.current;
    const shown = conversation.id === this.options.store.current.id ? conversation : this.options.store.current;
    return {
      conversation: { id: shown.id, title: shown.title, entries: shown.entries },
      conversations: this.options.store.summaries(),
      attachments: this.attachments,
      draft: this.draft,
      busy: this.running !== null,
      models: this.models,
      model: this.options.settings().model,
      meter: this.meter,
    };
  }

  /** Shows everything anew. */
  refresh(): void {
    this.options.post({ type: "state", state: this.state() });
  }

  /** Reads which models there are, for the picker. Does nothing while the engine cannot be reached. */
  async refreshModels(): Promise<void> {
    const models = await this.options.engine.request("models/list", null);
    this.models = models
      .map(({ ref, name, installed }) => ({ ref, name, installed }))
      .sort((a, b) => Number(b.installed) - Number(a.installed));
    this.refresh();
  }

  async send(text: string): Promise<void> {
    if (text.trim() === "" || this.running) return;
    const conversation = ask(this.options.store.current, text, this.attachments);
    this.attachments = [];
    this.draft = "";
    await this.answer(conversation);
  }

  async regenerate(): Promise<void> {
    if (!this.running) await this.answer(regenerate(this.options.store.current));
  }

  async resend(id: number, text: string): Promise<void> {
    if (!this.running && text.trim() !== "") await this.answer(resend(this.options.store.current, id, text));
  }

  stop(): void {
    this.running?.controller.abort();
  }

  attach(attachment: Attachment): void {
    this.attachments = [...this.attachments, attachment];
    this.countSoon();
    this.refresh();
  }

  detach(index: number): void {
    this.attachments = this.attachments.filter((_, position) => position !== index);
    this.countSoon();
    this.refresh();
  }

  setDraft(text: string): void {
    this.draft = text;
    this.countSoon();
  }

  newConversation(): void {
    this.options.store.create();
    this.attachments = [];
    this.meter = null;
    this.refresh();
  }

  openConversation(id: string): void {
    this.options.store.open(id);
    this.meter = null;
    this.refresh();
    this.countSoon();
  }

  deleteConversation(id: string): void {
    if (this.running?.conversation.id === id) this.stop();
    this.options.store.delete(id);
    this.meter = null;
    this.refresh();
  }

  dispose(): void {
    clearTimeout(this.counting);
    this.stop();
  }

  private async answer(conversation: Conversation): Promise<void> {
    const entry = streaming(conversation);
    if (!entry) return;
    const running = { conversation, controller: new AbortController() };
    this.running = running;
    this.options.store.put(conversation);
    this.refresh();
    try {
      const result = await this.generate(conversation, running.controller.signal, (text) => {
        running.conversation = appendText(running.conversation, text);
        if (this.options.store.current.id === conversation.id) this.options.post({ type: "text", id: entry.id, text });
      });
      running.conversation = finish(running.conversation, result);
      const { promptTokens, completionTokens } = result.usage;
      this.meter = { tokens: promptTokens + completionTokens, contextLength: result.contextLength };
    } catch (thrown) {
      running.conversation = fail(running.conversation, thrown);
    }
    this.running = null;
    this.options.store.put(running.conversation);
    this.refresh();
  }

  private generate(
    conversation: Conversation,
    signal: AbortSignal,
    onProgress: (text: string) => void,
  ): Promise<ChatResult> {
    const { model, systemPrompt, temperature, maxTokens } = this.options.settings();
    return this.options.engine.request(
      "chat/generate",
      { model, messages: toMessages(conversation, systemPrompt), maxTokens, sampling: { temperature } },
      { signal, onProgress },
    );
  }

  /** Counts only once a model is loaded for an answer: a draft alone is no reason to load one. */
  private countSoon(): void {
    clearTimeout(this.counting);
    if (!this.meter) return;
    this.counting = setTimeout(() => {
      this.count().catch(() => {
        // The next answer tells what is wrong; the meter can wait.
      });
    }, countDelay);
  }

  private async count(): Promise<void> {
    const { model, systemPrompt } = this.options.settings();
    const messages = toMessages(this.options.store.current, systemPrompt);
    const draft = withAttachments(this.draft, this.attachments);
    if (draft !== "") messages.push({ role: "user", content: draft });
    const { tokens, contextLength } = await this.options.engine.request("chat/countTokens", { model, messages });
    this.meter = { tokens, contextLength };
    this.options.post({ type: "meter", tokens, contextLength });
  }
}
