import * as vscode from "vscode";
import { readChatSettings } from "../config/settings.generated";
import type { EngineClient } from "../engine/client/engine_client";
import { documentPrompt, editPrompt, extractCode, fixPrompt, rewritingBegin } from "../engine/chat/edit_prompts";
import type { ChatMessage } from "../shared/chat";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { EngineError } from "../shared/errors";
import type { ChatAhead } from "./chat/chat_ahead";
import { codeContext, type CodeContext } from "./code_context";
import type { EditReview } from "./edit_review";
import { registerCommand } from "./report_failure";

/**
 * Edit by instruction, fix and document: the model rewrites the code, and the user accepts or rejects the diff. `ahead` is
 * that of the selection (selection_ahead.ts), which also ends it.
 */
export function registerEditSelection(engine: EngineClient, review: EditReview, ahead: ChatAhead): Disposable {
  const stack = new DisposableStack();

  /** The model reads the code while the user writes what is to become of it. */
  async function ask(context: CodeContext): Promise<string | undefined> {
    const { model, maxTokens } = readChatSettings();
    const stop = ahead.hold({ model, messages: rewritingBegin(context), maxTokens, wake: true });
    try {
      return await askInstruction(context);
    } finally {
      stop();
    }
  }

  async function rewrite(context: CodeContext, title: string, messages: ChatMessage[]): Promise<void> {
    const { model, maxTokens: longestAnswer } = readChatSettings();
    // The answer repeats the code: room for it, however short answers in the chat are to be.
    const maxTokens = Math.max(longestAnswer, Math.ceil(context.code.length / 2));
    await review.propose(context, `${title} (${context.path})`, async (signal, onText) => {
      let answer = "";
      const result = await engine.request(
        "chat/generate",
        { model, messages, maxTokens, sampling: { temperature: 0 } },
        {
          signal,
          onProgress: (text) => {
            answer += text;
            onText(extractCode(answer));
          },
        },
      );
      // Accepting half of the code would delete the other half.
      if (result.finish === "length") {
        throw new EngineError("CONTEXT_TOO_LONG", "The model's answer was too long and was cut off. Select less code.");
      }
      return extractCode(result.text);
    });
  }

  stack.add(
    registerCommand("nmos.edit", "The code was not edited", async (given) => {
      const context = await codeContext();
      if (!context) return;
      const instruction = typeof given === "string" ? given : await ask(context);
      if (instruction) await rewrite(context, instruction, editPrompt(context, instruction));
    }),
  );
  stack.add(
    registerCommand("nmos.fix", "The code was not fixed", async () => {
      const context = await codeContext();
      if (context) await rewrite(context, "Fix", fixPrompt(context, context.problems));
    }),
  );
  stack.add(
    registerCommand("nmos.document", "The code was not documented", async () => {
      const context = await codeContext();
      if (context) await rewrite(context, "Document", documentPrompt(context));
    }),
  );
  return stack;
}

async function askInstruction({ range }: CodeContext): Promise<string | undefined> {
  const lines = range.end.line - range.start.line + 1;
  const instruction = await vscode.window.showInputBox({
    title: lines === 1 ? "Edit this line" : `Edit these ${lines} lines`,
    placeHolder: "What to change, for example: handle the empty list",
    ignoreFocusOut: true,
  });
  return instruction?.trim();
}
