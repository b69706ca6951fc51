import * as vscode from "vscode";
import { readEngineSettings } from "../config/settings.generated";
import type { EngineClient } from "../engine/client/engine_client";
import type { Disposable } from "../shared/disposable";
import type { EngineView } from "./engine_view";
import { formatBytes, recommendedModel } from "./model_text";
import { firstOffer } from "./pack_text";

const askedKey = "nmos.firstRun.asked";
/** Version that knows whether CUDA can be offered: another one may need another pack. */
const lookedKey = "nmos.cuda.lookedIn";
const declinedKey = "nmos.cuda.declined";

/**
 * Offers the recommended model in one message, once, when none is installed, and CUDA support where a card can use it; and
 * keeps the context key that the walkthrough's download step waits for. The only feature that starts the engine without
 * being asked, and only until it has once seen what is installed; with a driver too old for CUDA, every window asks.
 */
export function registerFirstRun(context: vscode.ExtensionContext, engine: EngineClient, view: EngineView): Disposable {
  const listener = view.onChanged(() => {
    const installed = view.models?.some((model) => model.installed) ?? false;
    void vscode.commands.executeCommand("setContext", "nmos.modelInstalled", installed);
  });
  offerAll(context, engine).catch(() => {
    // The engine does not start; the status bar says so, and the next window asks again.
  });
  return listener;
}

/** One after the other: two messages at once are none. */
async function offerAll(context: vscode.ExtensionContext, engine: EngineClient): Promise<void> {
  if (!context.globalState.get(askedKey)) await offerModel(context, engine);
  const { version } = context.extension.packageJSON as { version: string };
  if (context.globalState.get(lookedKey) !== version) await offerCuda(context, engine, version);
}

async function offerCuda(context: vscode.ExtensionContext, engine: EngineClient, version: string): Promise<void> {
  if (readEngineSettings().cuda === "off" || readEngineSettings().gpu === "off") return;
  const report = await engine.request("packs/list", null);
  const offer = firstOffer(report, context.globalState.get(declinedKey) === true);
  // With a driver that is too old it is looked again in the next window, which may find a new one.
  if (!report.needsDriver) await context.globalState.update(lookedKey, version);
  if (offer === undefined) return;
  const install = "Install …";
  const decline = "No";
  const chosen = await vscode.window.showInformationMessage(offer, install, decline);
  if (chosen === install) await vscode.commands.executeCommand("nmos.installCuda");
  if (chosen === decline) await context.globalState.update(declinedKey, true);
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
