import { explainPrompt, testsPrompt } from "../engine/chat/edit_prompts";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { codeContext } from "./code_context";
import { registerCommand } from "./report_failure";

/** What these commands need of the chat view. */
interface Chat {
  ask(text: string): Promise<void>;
}

/** Explain and write tests: questions about the code, answered in the chat. */
export function registerEditorCommands(chat: Chat): Disposable {
  const stack = new DisposableStack();
  stack.add(
    registerCommand("nmos.explain", "The code was not explained", async () => {
      const context = await codeContext();
      if (context) await chat.ask(explainPrompt(context));
    }),
  );
  stack.add(
    registerCommand("nmos.writeTests", "No tests were written", async () => {
      const context = await codeContext();
      if (context) await chat.ask(testsPrompt(context));
    }),
  );
  return stack;
}
