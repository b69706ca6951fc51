import * as vscode from "vscode";
import { readCompletionSettings } from "../config/settings.generated";
import type { EngineClient } from "../engine/client/engine_client";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { registerCommand } from "./report_failure";

/** A function that a model of any size can finish, with the cursor where its body begins. */
const sample = `def fibonacci(n):
    """Returns the n-th Fibonacci number."""
    `;

/** The commands behind the walkthrough's buttons; its steps are in package.json. */
export function registerWalkthrough(context: vscode.ExtensionContext, engine: EngineClient): Disposable {
  const stack = new DisposableStack();
  stack.add(
    registerCommand("nmos.openWalkthrough", "The walkthrough was not opened", async () => {
      await vscode.commands.executeCommand("workbench.action.openWalkthrough", `${context.extension.id}#start`, false);
    }),
  );
  stack.add(
    registerCommand("nmos.tryCompletion", "Ghost text does not work yet", async () => {
      await loadModel(engine);
      const document = await vscode.workspace.openTextDocument({ language: "python", content: sample });
      const editor = await vscode.window.showTextDocument(document);
      const end = document.positionAt(sample.length);
      editor.selection = new vscode.Selection(end, end);
      await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
    }),
  );
  return stack;
}

/** Ghost text is silent about what goes wrong; whoever tries it for the first time has to be told. */
async function loadModel(engine: EngineClient): Promise<void> {
  await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: "NMOS: loading the model" },
    async (progress) => {
      let shown = 0;
      await engine.request(
        "models/load",
        { model: readCompletionSettings().model, role: "fast" },
        {
          onProgress: (fraction) => {
            progress.report({ increment: 100 * (fraction - shown) });
            shown = fraction;
          },
        },
      );
    },
  );
}
