import * as vscode from "vscode";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { registerCommand } from "./report_failure";

/** A function that a model of any size can finish, with the cursor where its body begins. */
const sample = `def fibonacci(n):
    """Returns the n-th Fibonacci number."""
    `;

/** The commands behind the walkthrough's buttons; its steps are in package.json. */
export function registerWalkthrough(context: vscode.ExtensionContext): Disposable {
  const stack = new DisposableStack();
  stack.add(
    registerCommand("nmos.openWalkthrough", "The walkthrough was not opened", async () => {
      await vscode.commands.executeCommand("workbench.action.openWalkthrough", `${context.extension.id}#start`, false);
    }),
  );
  stack.add(
    registerCommand("nmos.tryCompletion", "The sample was not opened", async () => {
      const document = await vscode.workspace.openTextDocument({ language: "python", content: sample });
      const editor = await vscode.window.showTextDocument(document);
      const end = document.positionAt(sample.length);
      editor.selection = new vscode.Selection(end, end);
      await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
    }),
  );
  return stack;
}
