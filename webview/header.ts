import type { ChatState, ConversationSummary, ModelOption } from "../src/shared/chat_messages";
import { button, element } from "./dom";
import { send } from "./host";

/** The bar at the top: which conversation, and which model. */
export class Header {
  readonly root = element("header", { class: "header" });
  private readonly conversations = element("select", { "aria-label": "Conversation" });
  private readonly models = element("select", { "aria-label": "Model" });

  constructor() {
    this.conversations.addEventListener("change", () => {
      send({ type: "openConversation", id: this.conversations.value });
    });
    this.models.addEventListener("change", () => {
      send({ type: "chooseModel", ref: this.models.value });
    });
    const act = (label: string, title: string, run: () => void) =>
      button(label, run, { class: "quiet", title, "aria-label": title });
    this.root.append(
      this.conversations,
      act("+", "New conversation", () => {
        send({ type: "newConversation" });
      }),
      act("✎", "Rename this conversation", () => {
        send({ type: "renameConversation", id: this.conversations.value });
      }),
      act("✕", "Delete this conversation", () => {
        send({ type: "deleteConversation", id: this.conversations.value });
      }),
      this.models,
    );
  }

  show({ conversation, conversations, models, model }: ChatState): void {
    this.conversations.replaceChildren(...conversations.map((one) => conversationOption(one, conversation.id)));
    const known = models.some(({ ref }) => ref === model) || model === "auto";
    const own: ModelOption[] = known
      ? []
      : [{ ref: model, name: model.split(/[\\/]/).at(-1) ?? model, installed: true }];
    const automatic: ModelOption = { ref: "auto", name: "Automatic", installed: true };
    this.models.replaceChildren(...[automatic, ...models, ...own].map((one) => modelOption(one, model)));
  }
}

function conversationOption({ id, title }: ConversationSummary, current: string): HTMLOptionElement {
  return element("option", { value: id, selected: id === current }, title);
}

function modelOption({ ref, name, installed }: ModelOption, current: string): HTMLOptionElement {
  return element(
    "option",
    { value: ref, selected: ref === current, disabled: !installed },
    installed ? name : `${name} (not downloaded)`,
  );
}
