import * as vscode from "vscode";
import { readChatSettings, readCompletionSettings } from "../config/settings.generated";
import type { EngineClient } from "../engine/client/engine_client";
import { DisposableStack, type Disposable } from "../shared/disposable";
import type { SelfTestStep } from "../shared/machine_report";
import type { ModelChoice, ModelRole } from "../shared/models";
import { withAbortSignal } from "./abort_signal";
import type { EngineView } from "./engine_view";
import { formatBytes } from "./model_text";
import { registerCommand } from "./report_failure";

/** Unload, restart, open the log, run the self-test. */
export function registerEngineCommands(engine: EngineClient, view: EngineView): Disposable {
  const stack = new DisposableStack();
  const output = stack.add(vscode.window.createOutputChannel("NMOS Self-Test"));

  stack.add(
    registerCommand("nmos.unload", "The models were not unloaded", async () => {
      const { freedBytes } = await engine.request("engine/unload", {});
      void vscode.window.showInformationMessage(
        freedBytes > 0 ? `NMOS gave ${formatBytes(freedBytes)} of memory back.` : "No model was loaded.",
      );
    }),
  );
  stack.add(
    registerCommand("nmos.restartEngine", "The engine did not restart", async () => {
      if (view.status?.quantising && !(await isQuantisationGivenUp())) return;
      const ended = await engine.endHost();
      const { library } = await engine.request("engine/status", { startEngine: true });
      void vscode.window.showInformationMessage(`The engine ${ended ? "restarted" : "started"} (${library}).`);
    }),
  );
  stack.add(
    registerCommand("nmos.openLog", "The log was not opened", async () => {
      await vscode.window.showTextDocument(vscode.Uri.file(engine.logFile), { preview: true });
    }),
  );
  stack.add(registerCommand("nmos.selfTest", "The self-test did not run", () => runSelfTest(engine, output)));
  return stack;
}

async function isQuantisationGivenUp(): Promise<boolean> {
  const restart = "Restart Engine";
  const detail = "What is done of it would be lost.";
  const text = "A model is being quantised. Restart the engine all the same?";
  return (await vscode.window.showWarningMessage(text, { modal: true, detail }, restart)) === restart;
}

async function runSelfTest(engine: EngineClient, output: vscode.OutputChannel): Promise<void> {
  output.clear();
  output.appendLine(`NMOS self-test, ${new Date().toLocaleString()}`);
  output.show(true);
  let shown = 0;
  const show = (step: SelfTestStep): void => {
    output.appendLine(selfTestLine(step));
    shown++;
  };
  const steps = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: "NMOS: self-test" },
    (_, token) =>
      withAbortSignal(token, (signal) =>
        engine.request("engine/selfTest", { models: chosenModels() }, { signal, onProgress: show }),
      ),
  );
  for (const step of steps.slice(shown)) show(step);
  const failed = steps.filter((step) => !step.ok);
  output.appendLine(
    failed.length === 0
      ? `All ${steps.length} steps passed.`
      : `${failed.length} of ${steps.length} steps failed: ${failed.map((step) => step.name).join(", ")}.`,
  );
}

/** What the user has chosen for ghost text and chat. */
function chosenModels(): Record<ModelRole, ModelChoice> {
  return { fast: readCompletionSettings().model, main: readChatSettings().model };
}

function selfTestLine({ name, ok, detail, milliseconds }: SelfTestStep): string {
  return `${ok ? "passed" : "FAILED"}  ${name} (${Math.round(milliseconds)} ms): ${detail}`;
}
