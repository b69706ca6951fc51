import type { ShownEntry } from "../src/shared/chat_messages";
import { addCodeActions } from "./code_blocks";
import { button, element } from "./dom";
import { send } from "./host";
import { renderMarkdown } from "./markdown";
import { StreamingMarkdown } from "./streaming_markdown";

export interface RenderedMessage {
  node: HTMLElement;
  /** What takes the text of an answer that is streaming in. */
  stream: StreamingMarkdown | undefined;
}

export function renderMessage(entry: ShownEntry, isLast: boolean): RenderedMessage {
  const node = element("article", {
    class: `message ${entry.role} ${entry.status}`,
    "aria-label": entry.role === "user" ? "You" : "NMOS",
  });
  if (entry.status === "streaming") return { node, stream: renderStreaming(node, entry) };
  if (entry.role === "user") renderQuestion(node, entry);
  else renderAnswer(node, entry, isLast);
  return { node, stream: undefined };
}

function renderQuestion(node: HTMLElement, entry: ShownEntry): void {
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

function editor(node: HTMLElement, entry: ShownEntry): HTMLElement {
  const input = element("textarea", { "aria-label": "Change the message", rows: "4" });
  input.value = entry.text;
  const close = () => {
    node.replaceChildren();
    renderQuestion(node, entry);
    node.querySelector("button")?.focus();
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

function renderStreaming(node: HTMLElement, entry: ShownEntry): StreamingMarkdown {
  const stream = new StreamingMarkdown();
  if (entry.text !== "") stream.update(entry.text);
  node.append(stream.root);
  return stream;
}

function renderAnswer(node: HTMLElement, entry: ShownEntry, isLast: boolean): void {
  const text = element("div", { class: "text markdown" });
  text.append(renderMarkdown(entry.text));
  addCodeActions(text);
  node.append(text);
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

function statistics(stats: NonNullable<ShownEntry["stats"]>): HTMLElement {
  const { tokens, tokensPerSecond, droppedMessages, guesses } = stats;
  const speed = tokensPerSecond > 0 ? `${tokens} tokens, ${tokensPerSecond.toFixed(1)} tokens/s` : `${tokens} tokens`;
  const dropped = droppedMessages > 0 ? `; the ${droppedMessages} oldest messages no longer fit the context` : "";
  const saved = guesses && guesses.savedSeconds >= 0.05 ? `, ${guesses.savedSeconds.toFixed(1)} s saved` : "";
  const title = guesses ? `${guesses.accepted} of ${guesses.drafted} guessed tokens right${saved}` : false;
  return element("span", { class: "note", title }, speed + dropped);
}

function failure({ code, message }: NonNullable<ShownEntry["error"]>): HTMLElement {
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
