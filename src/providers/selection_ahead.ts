import * as vscode from "vscode";
import { readChatSettings } from "../config/settings.generated";
import { aboutCode, rewritingBegin } from "../engine/chat/edit_prompts";
import { DisposableStack, type Disposable } from "../shared/disposable";
import type { ChatAhead } from "./chat/chat_ahead";
import { codeContext } from "./code_context";
import { isEligible } from "./document_filter";

/** Milliseconds: a selection grows while the mouse moves. */
const settling = 400;

/** Characters; what is longer is not for a command. */
const longestCode = 6_000;

interface Chat {
  prepareFor(beginning: string): () => void;
}

/**
 * Selected code is about to be asked about, edited or explained: what the commands for it have in common is computed while
 * the user still chooses one.
 */
export function registerSelectionAhead(ahead: ChatAhead, chat: Chat): Disposable {
  const stack = new DisposableStack();
  let unprepare = (): void => undefined;
  let settled: NodeJS.Timeout | undefined;

  async function prepare(editor: vscode.TextEditor): Promise<void> {
    const { document, selection } = editor;
    if (editor !== vscode.window.activeTextEditor || selection.isEmpty || !isEligible(document)) return;
    const context = await codeContext();
    if (!context || context.code.trim() === "" || context.code.length > longestCode) return;
    unprepare = chat.prepareFor(aboutCode(context));
    const { model, maxTokens } = readChatSettings();
    ahead.start({ model, messages: rewritingBegin(context), maxTokens, wake: false });
  }

  function stop(): void {
    clearTimeout(settled);
    ahead.stop();
    unprepare();
  }

  stack.add(
    vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => {
      stop();
      settled = setTimeout(() => void prepare(textEditor), settling);
    }),
  );
  return {
    dispose() {
      stop();
      stack.dispose();
    },
  };
}
