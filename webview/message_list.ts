import type { ChatEntry } from "../src/shared/chat_messages";
import { addCodeActions } from "./code_blocks";
import { button, element } from "./dom";
import { send } from "./host";
import { renderMarkdown } from "./markdown";

/** Nearer to the end than this the list follows the text that arrives. */
const followDistance = 80;

interface Shown {
  entry: ChatEntry;
  node: HTMLElement;
}

/** The messages of a conversation. Only what has changed is rendered anew. */
export class MessageList {
  readonly root = element("div", {
    class: "messages",
    role: "log",
    "aria-live": "polite",
    "aria-label": "Conversation",
    tabindex: "0",
  });
  private shown: Shown[] = [];
  private conversation = "";
  private pendingRender: number | null = null;

  constructor() {
    this.root.addEventListener("click", (event) => {
      const link = (event.target as Element).closest("a");
      if (!link) return;
      event.preventDefault();
      send({ type: "openLink", url: link.href });
    });
  }

  show(conversation: string, entries: readonly ChatEntry[]): void {
    const following = this.isAtEnd() || conversation !== this.conversation;
    if (conversation !== this.conversation) this.clear();
    this.conversation = conversation;
    const last = entries.length - 1;
    const next = entries.map((entry, index): Shown => {
      const present = this.shown[index];
      const same = present && JSON.stringify(present.entry) === JSON.stringify(entry) && index !== last;
      return same ? present : { entry, node: messageNode(entry, index === last) };
    });
    this.root.replaceChildren(...(next.length > 0 ? next.map(({ node }) => node) : [welcome()]));
    this.shown = next;
    if (following) this.scrollToEnd();
  }

  /** Adds text to the answer that is streaming in; rendered once per frame at most. */
  append(id: number, text: string): void {
    const shown = this.shown.find(({ entry }) => entry.id === id);
    if (!shown) return;
    shown.entry = { ...shown.entry, text: shown.entry.text + text };
    this.pendingRender ??= requestAnimationFrame(() => {
      this.pendingRender = null;
      const following = this.isAtEnd();
      const node = messageNode(shown.entry, true);
      shown.node.replaceWith(node);
      shown.node = node;
      if (following) this.scrollToEnd();
    });
  }

  private clear(): void {
    if (this.pendingRender !== null) cancelAnimationFrame(this.pendingRender);
    this.pendingRender = null;
    this.shown = [];
  }

  private isAtEnd(): boolean {
    return this.root.scrollHeight - this.root.scrollTop - this.root.clientHeight < followDistance;
  }

  private scrollToEnd(): void {
    this.root.scrollTop = this.root.scrollHeight;
  }
}

function welcome(): HTMLElement {
  return element(
    "div",
    { class: "welcome" },
    element(
      "p",
      {},
      "Ask about your code, or about anything else. The model runs on this machine; nothing is sent anywhere.",
    ),
    element("p", {}, "Attach a selection, the file or its problems with the buttons below."),
  );
}

function messageNode(entry: ChatEntry, isLast: boolean): HTMLElement {
  const node = element("article", { class: `message ${entry.role} ${entry.status}`, "data-id": String(entry.id) });
  node.setAttribute("aria-label", entry.role === "user" ? "You" : "NMOS");
  if (entry.role === "user") renderQuestion(node, entry);
  else renderAnswer(node, entry, isLast);
  return node;
}

function renderQuestion(node: HTMLElement, entry: ChatEntry): void {
  for (const { label, kind } of entry.attachments) {
    node.append(element("span", { class: "chip" }, kind === "problems" ? `Problems: ${label}` : label));
  }
  node.append(element("div", { class: "text" }, entry.text));
  const edit = button(
    "Edit",
    () => {
      node.replaceChildren(editor(node, entry));
      node.querySelector("textarea")?.focus();
    },
    { title: "Change this message and send it again" },
  );
  node.append(element("div", { class: "actions" }, edit));
}

function editor(node: HTMLElement, entry: ChatEntry): HTMLElement {
  const input = element("textarea", { "aria-label": "Change the message", rows: "4" });
  input.value = entry.text;
  const close = () => {
    node.replaceChildren();
    renderQuestion(node, entry);
  };
  const submit = () => {
    if (input.value.trim() !== "") send({ type: "resend", id: entry.id, text: input.value });
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  return element("div", { class: "edit" }, input, button("Send", submit), button("Cancel", close));
}

function renderAnswer(node: HTMLElement, entry: ChatEntry, isLast: boolean): void {
  const text = element("div", { class: "text markdown" });
  text.append(renderMarkdown(entry.text));
  if (entry.status !== "streaming") addCodeActions(text);
  node.append(text);
  if (entry.status === "streaming") {
    if (entry.text === "") text.append(element("span", { class: "thinking" }, "Thinking"));
    return;
  }
  if (entry.error) node.append(failure(entry.error));
  const actions = element("div", { class: "actions" });
  if (isLast) {
    actions.append(
      button("Regenerate", () => {
        send({ type: "regenerate" });
      }),
    );
  }
  if (entry.status === "stopped") actions.append(element("span", { class: "note" }, "Stopped"));
  if (entry.stats) actions.append(statistics(entry.stats));
  node.append(actions);
}

function statistics({ tokens, tokensPerSecond, droppedMessages }: NonNullable<ChatEntry["stats"]>): HTMLElement {
  const speed = tokensPerSecond > 0 ? `${tokens} tokens, ${tokensPerSecond.toFixed(1)} tokens/s` : `${tokens} tokens`;
  const dropped = droppedMessages > 0 ? `; the ${droppedMessages} oldest messages no longer fit the context` : "";
  return element("span", { class: "note" }, speed + dropped);
}

function failure({ code, message }: NonNullable<ChatEntry["error"]>): HTMLElement {
  const box = element("div", { class: "failure", role: "alert" }, message);
  if (code === "MODEL_NOT_INSTALLED") {
    box.append(
      button("Download a model", () => {
        send({ type: "downloadModel" });
      }),
    );
  } else if (code !== "CANCELLED" && code !== "CONTEXT_TOO_LONG") {
    box.append(
      button("Open log", () => {
        send({ type: "openLog" });
      }),
    );
  }
  return box;
}
