import * as vscode from "vscode";
import type { EngineClient } from "../engine/client/engine_client";
import type { Disposable } from "../shared/disposable";
import type { EngineView } from "./engine_view";
import { formatBytes, recommendedModel } from "./model_text";

const askedKey = "nmos.firstRun.asked";

/**
 * Offers the recommended model in one message, once, when none is installed; and keeps the context key that the
 * walkthrough's download step waits for. The only feature that starts the engine without being asked, and only until it
 * has once seen what is installed.
 */
export function registerFirstRun(context: vscode.ExtensionContext, engine: EngineClient, view: EngineView): Disposable {
  const listener = view.onChanged(() => {
    const installed = view.models?.some((model) => model.installed) ?? false;
    void vscode.commands.executeCommand("setContext", "nmos.modelInstalled", installed);
  });
  if (!context.globalState.get(askedKey)) {
    offerModel(context, engine).catch(() => {
      // The engine does not start; the status bar says so, and the next window asks again.
    });
  }
  return listener;
}

async function offerModel(context: vscode.ExtensionContext, engine: EngineClient): Promise<void> {
  const models = await engine.request("models/list", null);
  await context.globalState.update(askedKey, true);
  const model = recommendedModel(models);
  if (!model || models.some((candidate) => candidate.installed)) return;
  const download = `Download (${formatBytes(model.sizeBytes)})`;
  const start = "Get Started";
  const chosen = await vscode.window.showInformationMessage(
    `NMOS needs a language model on this machine. ${model.name} suits its memory (licence: ${model.license}).`,
    download,
    start,
  );
  if (chosen === download) await vscode.commands.executeCommand("nmos.downloadModel", model.ref);
  if (chosen === start) await vscode.commands.executeCommand("nmos.openWalkthrough");
}
