import type { ChatState, ModelOption } from "../src/shared/chat_messages";
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
    fill(
      this.conversations,
      conversations.map(({ id, title }) => ({ value: id, label: title, disabled: false })),
      conversation.id,
    );
    this.showModels(models, model);
  }

  showModels(models: readonly ModelOption[], model: string): void {
    const known = model === "auto" || models.some(({ ref }) => ref === model);
    const own = known ? [] : [{ ref: model, name: model.split(/[\\/]/).at(-1) ?? model, installed: true }];
    fill(
      this.models,
      [{ ref: "auto", name: "Automatic", installed: true }, ...models, ...own].map(({ ref, name, installed }) => ({
        value: ref,
        label: installed ? name : `${name} (not downloaded)`,
        disabled: !installed,
      })),
      model,
    );
  }
}

interface Option {
  value: string;
  label: string;
  disabled: boolean;
}

/** A list that is open stays open when nothing in it has changed. */
function fill(list: HTMLSelectElement, options: readonly Option[], chosen: string): void {
  const shown = [...list.options].map(({ value, label, disabled }) => ({ value, label, disabled }));
  if (JSON.stringify(shown) !== JSON.stringify(options)) {
    list.replaceChildren(...options.map(({ value, label, disabled }) => element("option", { value, disabled }, label)));
  }
  list.value = chosen;
}
