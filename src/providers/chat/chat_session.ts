import type { EngineClient } from "../../engine/client/engine_client";
import type { ChatMessage, ChatResult } from "../../shared/chat";
import type { Attachment, AttachmentLabel, ChatState, ModelOption, ToView } from "../../shared/chat_messages";
import type { ModelRef } from "../../shared/models";
import { ChatAhead } from "./chat_ahead";
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
  /** Whether a model is in memory, so that counting tokens loads nothing. */
  isLoaded: (model: ModelRef) => boolean;
  /** Sends to the view, if there is one. */
  post: (message: ToView) => void;
}

interface Answer {
  conversation: Conversation;
  controller: AbortController;
  /** Milliseconds since the epoch. */
  savedAt: number;
}

/** Milliseconds without a keystroke before the tokens of a draft are counted and computed ahead. */
const draftDelay = 400;

/** Milliseconds between two writes of an answer under way, so that a reload of the window loses little of it. */
const saveInterval = 2_000;

/**
 * The chat behind the view: the current conversation, what is attached, and the answers under way, at most one in each
 * conversation. Knows nothing of VS Code. An answer goes on while the view is closed or shows another conversation.
 */
export class ChatSession {
  private attachments: Attachment[] = [];
  private draft = "";
  private models: ModelOption[] = [];
  private meter: ChatState["meter"] = null;
  /** The model that gave the last answer when `auto` was chosen: which one that means is up to the engine. */
  private automatic: ModelRef | undefined;
  private readonly answers = new Map<string, Answer>();
  private counting: NodeJS.Timeout | undefined;
  private counts = 0;
  private disposed = false;
  private readonly ahead: ChatAhead;

  constructor(private readonly options: ChatSessionOptions) {
    this.ahead = new ChatAhead(options.engine);
  }

  state(): ChatState {
    const { id, title, entries } = this.current;
    return {
      conversation: {
        id,
        title,
        entries: entries.map((entry) => ({ ...entry, attachments: entry.attachments.map(labelOf) })),
      },
      conversations: this.options.store.summaries(),
      attachments: this.attachments.map(labelOf),
      draft: this.draft,
      busy: this.answers.has(id),
      models: this.models,
      model: this.options.settings().model,
      meter: this.meter,
    };
  }

  /** Shows everything anew. */
  refresh(): void {
    this.options.post({ type: "state", state: this.state() });
  }

  /** Reads which models there are, for the picker. */
  async refreshModels(): Promise<void> {
    // With other models installed `auto` may mean another one.
    this.automatic = undefined;
    const models = await this.options.engine.request("models/list", null);
    this.models = models
      .map(({ ref, name, installed }) => ({ ref, name, installed }))
      .sort((a, b) => Number(b.installed) - Number(a.installed));
    this.options.post({ type: "models", models: this.models, model: this.options.settings().model });
  }

  /** Sends what the user wrote, with what is attached. */
  async send(text: string): Promise<void> {
    const { current } = this;
    if (text.trim() === "" || this.answers.has(current.id)) return;
    const conversation = ask(current, text, this.attachments);
    this.attachments = [];
    this.draft = "";
    await this.answer(conversation);
  }

  /** Asks for a command. What the user is writing and has attached stays, and so does an answer under way. */
  async ask(text: string): Promise<void> {
    if (this.answers.has(this.current.id)) {
      this.options.store.create();
      this.meter = null;
    }
    await this.answer(ask(this.current, text, []));
  }

  async regenerate(): Promise<void> {
    if (!this.answers.has(this.current.id)) await this.answer(regenerate(this.current));
  }

  async resend(id: number, text: string): Promise<void> {
    if (!this.answers.has(this.current.id) && text.trim() !== "") await this.answer(resend(this.current, id, text));
  }

  /** Ends the answer in the current conversation. */
  stop(): void {
    this.answers.get(this.current.id)?.controller.abort();
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

  /** The user is about to write: the conversation is computed ahead, with what there is of the question. */
  prepare(): void {
    this.computeAhead(withAttachments(this.draft, this.attachments), true);
  }

  /** The user may ask something that begins like this. The function returned says that it is not so any more. */
  prepareFor(beginning: string): () => void {
    return this.computeAhead(beginning, false);
  }

  /** The user is about to ask, without what stands in the view. The function returned says that it is not so any more. */
  prepareToAsk(): () => void {
    return this.computeAhead("", true);
  }

  /** The user types elsewhere: ghost text must not wait for a pass over the conversation. */
  leave(): void {
    this.ahead.stop();
  }

  private computeAhead(question: string, wake: boolean): () => void {
    const { model, maxTokens } = this.options.settings();
    const messages = this.messagesWith(question);
    if (messages.length === 0 || this.answers.has(this.current.id)) return () => undefined;
    return this.ahead.start({ model, messages, maxTokens, wake });
  }

  newConversation(): void {
    this.options.store.create();
    this.attachments = [];
    this.switched();
  }

  openConversation(id: string): void {
    this.options.store.open(id);
    this.switched();
  }

  deleteConversation(id: string): void {
    this.answers.get(id)?.controller.abort();
    this.options.store.delete(id);
    this.switched();
  }

  /** Tells, in an answer that has not begun, what the engine does. */
  showProgress(text: string): void {
    const entry = streaming(this.current);
    if (entry?.text === "") this.options.post({ type: "progress", text });
  }

  /** Keeps what there is of answers under way. */
  dispose(): void {
    this.disposed = true;
    clearTimeout(this.counting);
    this.ahead.stop();
    for (const { conversation, controller } of this.answers.values()) {
      this.options.store.put(conversation);
      controller.abort();
    }
  }

  /** The current conversation, with the answer under way as far as it has come. */
  private get current(): Conversation {
    const { current } = this.options.store;
    return this.answers.get(current.id)?.conversation ?? current;
  }

  private switched(): void {
    this.meter = null;
    this.refresh();
    this.countSoon();
  }

  private async answer(conversation: Conversation): Promise<void> {
    const entry = streaming(conversation);
    if (!entry) return;
    const { id } = conversation;
    this.ahead.stop();
    const answer: Answer = { conversation, controller: new AbortController(), savedAt: Date.now() };
    this.answers.set(id, answer);
    this.options.store.put(conversation);
    this.refresh();
    const onProgress = (text: string): void => {
      answer.conversation = appendText(answer.conversation, text);
      if (this.current.id === id) this.options.post({ type: "text", id: entry.id, text });
      if (Date.now() - answer.savedAt < saveInterval) return;
      answer.savedAt = Date.now();
      this.options.store.put(answer.conversation);
    };
    let result: ChatResult | undefined;
    try {
      result = await this.generate(conversation, answer.controller.signal, onProgress);
      answer.conversation = finish(answer.conversation, result);
    } catch (thrown) {
      answer.conversation = fail(answer.conversation, thrown);
    }
    this.answers.delete(id);
    // The end of the window is no end of the answer: it is kept as it was, and the next window says so.
    if (this.disposed) return;
    this.options.store.put(answer.conversation);
    if (this.current.id !== id) {
      this.refresh();
      return;
    }
    if (result) {
      this.counts++; // what is being counted is older
      const { promptTokens, completionTokens } = result.usage;
      this.meter = { tokens: promptTokens + completionTokens, contextLength: result.contextLength };
    }
    this.refresh();
  }

  private async generate(
    conversation: Conversation,
    signal: AbortSignal,
    onProgress: (text: string) => void,
  ): Promise<ChatResult> {
    const { model, systemPrompt, temperature, maxTokens } = this.options.settings();
    const result = await this.options.engine.request(
      "chat/generate",
      { model, messages: toMessages(conversation, systemPrompt), maxTokens, sampling: { temperature } },
      { signal, onProgress },
    );
    if (model === "auto") this.automatic = result.model;
    return result;
  }

  private modelLoaded(): boolean {
    const { model } = this.options.settings();
    const chosen = model === "auto" ? this.automatic : model;
    return chosen !== undefined && this.options.isLoaded(chosen);
  }

  /** A draft alone is no reason to load a model. */
  private countSoon(): void {
    clearTimeout(this.counting);
    const asked = ++this.counts;
    this.counting = setTimeout(() => {
      this.prepare();
      if (!this.modelLoaded()) return;
      this.count(() => asked === this.counts && !this.disposed).catch(() => {
        // The next answer tells what is wrong; the meter can wait.
      });
    }, draftDelay);
  }

  /** The conversation, going on with a question. */
  private messagesWith(question: string): ChatMessage[] {
    const messages = toMessages(this.current, this.options.settings().systemPrompt);
    return question === "" ? messages : [...messages, { role: "user", content: question }];
  }

  private async count(isCurrent: () => boolean): Promise<void> {
    const { model } = this.options.settings();
    const messages = this.messagesWith(withAttachments(this.draft, this.attachments));
    const { tokens, contextLength } = await this.options.engine.request("chat/countTokens", { model, messages });
    if (!isCurrent()) return;
    this.meter = { tokens, contextLength };
    this.options.post({ type: "meter", tokens, contextLength });
  }
}

function labelOf({ kind, label }: Attachment): AttachmentLabel {
  return { kind, label };
}
