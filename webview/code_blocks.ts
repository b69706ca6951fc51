import type { CodeAction } from "../src/shared/chat_messages";
import { button, element } from "./dom";
import { send } from "./host";

const actions: [action: CodeAction, label: string, title: string][] = [
  ["copy", "Copy", "Copy this code"],
  ["insert", "Insert", "Insert this code at the cursor"],
  ["apply", "Apply", "Show this code as a change to the open file"],
];

/** Puts a bar with buttons above every code block of a rendered answer. */
export function addCodeActions(answer: ParentNode): void {
  for (const block of answer.querySelectorAll("pre")) {
    const code = block.textContent.replace(/\n$/, "");
    const language = /language-([\w+#-]+)/.exec(block.querySelector("code")?.className ?? "")?.[1] ?? "";
    const bar = element("div", { class: "code-bar" }, element("span", { class: "code-language" }, language));
    for (const [action, label, title] of actions) bar.append(actionButton(action, label, title, code));
    const frame = element("div", { class: "code-block" }, bar);
    block.replaceWith(frame);
    block.tabIndex = 0;
    frame.append(block);
  }
}

function actionButton(action: CodeAction, label: string, title: string, code: string): HTMLButtonElement {
  const made = button(
    label,
    () => {
      send({ type: "code", action, code });
      if (action !== "copy") return;
      made.textContent = "Copied";
      setTimeout(() => (made.textContent = label), 1500);
    },
    { title, "data-action": action },
  );
  return made;
}
