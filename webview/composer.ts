import type { AttachmentKind, AttachmentLabel, ChatState } from "../src/shared/chat_messages";
import { button, element } from "./dom";
import { send } from "./host";

const kinds: [kind: AttachmentKind, label: string][] = [
  ["selection", "Selection"],
  ["file", "File"],
  ["problems", "Problems"],
];

const tallestInput = 240;

/** Where a message is written: attachments, the text, send or stop, and the context meter. */
export class Composer {
  readonly root = element("form", { class: "composer" });
  private readonly chips = element("div", { class: "chips", role: "group", "aria-label": "Attached" });
  private readonly input = element("textarea", {
    class: "input",
    rows: "1",
    "aria-label": "Message to NMOS",
    placeholder: "Ask NMOS (Enter sends, Shift+Enter makes a new line)",
  });
  private readonly submitButton = element("button", { type: "submit", class: "primary" }, "Send");
  private readonly meter = element("span", { class: "meter", role: "meter", "aria-label": "Context used" });
  private busy = false;
  private isRestored = false;

  constructor() {
    const attach = kinds.map(([kind, label]) =>
      button(
        `+ ${label}`,
        () => {
          send({ type: "attach", kind });
        },
        { class: "quiet", title: `Attach the ${label.toLowerCase()} of the open editor` },
      ),
    );
    this.root.append(
      this.chips,
      this.input,
      element("div", { class: "row" }, ...attach, this.meter, this.submitButton),
    );
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.busy) send({ type: "stop" });
      else this.submit();
    });
    this.input.addEventListener("focus", () => {
      send({ type: "focused" });
    });
    this.input.addEventListener("input", () => {
      this.grow();
      send({ type: "draft", text: this.input.value });
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.busy) send({ type: "stop" });
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      // While an answer streams in, the next question waits in the box: Enter must not stop the answer.
      if (!this.busy) this.submit();
    });
  }

  show({ attachments, draft, busy, meter }: ChatState): void {
    this.busy = busy;
    this.chips.replaceChildren(...attachments.map(chip));
    // From then on what the user is writing is newer than what the extension has heard of.
    if (!this.isRestored) this.input.value = draft;
    this.isRestored = true;
    this.submitButton.textContent = busy ? "Stop" : "Send";
    if (meter) this.showMeter(meter.tokens, meter.contextLength);
    else this.meter.textContent = "";
    this.grow();
  }

  showMeter(tokens: number, contextLength: number): void {
    const share = Math.round((tokens / contextLength) * 100);
    this.meter.textContent = `${share}%`;
    this.meter.ariaValueNow = `${share}`;
    this.meter.title = `${tokens} of ${contextLength} tokens of the context are used`;
    this.meter.classList.toggle("full", tokens > contextLength * 0.9);
  }

  focus(): void {
    this.input.focus();
  }

  private submit(): void {
    if (this.input.value.trim() === "") return;
    send({ type: "send", text: this.input.value });
    this.input.value = "";
    this.grow();
  }

  private grow(): void {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(tallestInput, this.input.scrollHeight)}px`;
  }
}

function chip({ kind, label }: AttachmentLabel, index: number): HTMLElement {
  const remove = button(
    "×",
    () => {
      send({ type: "detach", index });
    },
    { "aria-label": `Remove ${label}` },
  );
  return element("span", { class: "chip" }, kind === "problems" ? `Problems: ${label}` : label, remove);
}
