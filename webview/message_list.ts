import type { ShownEntry } from "../src/shared/chat_messages";
import { element } from "./dom";
import { renderMessage, type RenderedMessage } from "./message";

/** Nearer to the end than this the list follows the text that arrives. */
const followDistance = 80;

/** Rendering may take one part in so many of the time, so that a long code block does not freeze the page. */
const renderShare = 5;

interface Shown extends RenderedMessage {
  entry: ShownEntry;
  isLast: boolean;
}

/** The messages of a conversation. Only what has changed is rendered anew; the rest keeps focus and selection. */
export class MessageList {
  /** Not live: text that streams in would be read out over and over. `announcer` says what there is to say. */
  readonly root = element("div", {
    class: "messages",
    role: "log",
    "aria-live": "off",
    "aria-label": "Conversation",
    tabindex: "0",
  });
  readonly announcer = element("div", { class: "announcer", role: "status" });
  private shown: Shown[] = [];
  private conversation = "";
  private pending: ReturnType<typeof setTimeout> | undefined;
  private nextRender = 0;

  show(conversation: string, entries: readonly ShownEntry[], busy: boolean): void {
    const switched = conversation !== this.conversation;
    const following = switched || this.isAtEnd();
    const hadFocus = this.root.contains(document.activeElement);
    const before = switched ? [] : this.shown;
    this.conversation = conversation;
    this.shown = entries.map((entry, index) => {
      const isLast = index === entries.length - 1;
      const present = before.find((shown) => shown.entry.id === entry.id);
      return present?.isLast === isLast && JSON.stringify(present.entry) === JSON.stringify(entry)
        ? present
        : { entry, isLast, ...renderMessage(entry, isLast) };
    });
    this.root.classList.toggle("busy", busy);
    arrange(this.root, entries.length > 0 ? this.shown.map(({ node }) => node) : [welcome()]);
    if (following) this.scrollToEnd();
    if (hadFocus && !this.root.contains(document.activeElement)) this.root.focus();
    this.announce(before);
  }

  /** Adds text to the answer that is streaming in. */
  append(id: number, text: string): void {
    const shown = this.shown.find(({ entry }) => entry.id === id);
    if (!shown) return;
    shown.entry = { ...shown.entry, text: shown.entry.text + text };
    this.pending ??= setTimeout(() => {
      requestAnimationFrame(() => {
        this.pending = undefined;
        this.renderStreaming();
      });
    }, this.nextRender - performance.now());
  }

  /** Says what happens before an answer begins. */
  showProgress(text: string): void {
    const waiting = this.root.querySelector(".thinking");
    if (waiting) waiting.textContent = text;
  }

  private renderStreaming(): void {
    const began = performance.now();
    const following = this.isAtEnd();
    for (const { entry, stream } of this.shown) stream?.update(entry.text);
    if (following) this.scrollToEnd();
    const ended = performance.now();
    this.nextRender = ended + (ended - began) * (renderShare - 1);
  }

  /** Reads out that an answer is on its way, and the answer when it is there. */
  private announce(before: readonly Shown[]): void {
    const last = this.shown.at(-1);
    const previous = before.find(({ entry }) => entry.id === last?.entry.id);
    if (last?.stream && previous !== last) this.announcer.textContent = "NMOS is answering";
    else if (last && previous?.stream && !last.stream) {
      this.announcer.textContent = last.node.querySelector(".text")?.textContent ?? "";
    }
  }

  private isAtEnd(): boolean {
    return this.root.scrollHeight - this.root.scrollTop - this.root.clientHeight < followDistance;
  }

  private scrollToEnd(): void {
    this.root.scrollTop = this.root.scrollHeight;
  }
}

/** Makes the nodes the children without taking out those that are there already. */
function arrange(parent: Element, nodes: readonly Element[]): void {
  for (const child of [...parent.children]) if (!nodes.includes(child)) child.remove();
  for (const [index, node] of nodes.entries()) {
    const present = parent.children[index] ?? null;
    if (present !== node) parent.insertBefore(node, present);
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
