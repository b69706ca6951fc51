import * as vscode from "vscode";
import type { EngineClient } from "../engine/client/engine_client";
import type { Disposable } from "../shared/disposable";
import { toEngineError } from "../shared/errors";
import type { QuantiseOffer, QuantisePlan, QuantiseResult } from "../shared/quantise";
import { withAbortSignal } from "./abort_signal";
import { formatBytes } from "./model_text";
import { offerDetail, quantisable, quantiseProgressText, questionsOf, resultText } from "./quantise_text";
import { registerCommand } from "./report_failure";
import { pickModelFile } from "./pick_model_file";

type SourceItem = vscode.QuickPickItem & { path?: string };
type OfferItem = vscode.QuickPickItem & { offer: QuantiseOffer };

/** Turns a model file of the user's into a smaller one that fits the card. */
export function registerQuantiseModel(engine: EngineClient): Disposable {
  return registerCommand("nmos.quantiseModel", "The model was not quantised", async (given) => {
    const path = typeof given === "string" ? given : await pickSource(engine);
    if (path === undefined) return;
    const plan = await showProgress("NMOS: looking at the model", (signal) =>
      engine.request("models/planQuantise", { path }, { signal }),
    );
    const offer = plan && (await pickOffer(plan));
    if (!offer || !(await isAgreed(plan, offer))) return;
    const result = await quantise(engine, path, plan, offer);
    if (result) await offerUse(result, offer);
  });
}

/** A file of the models folder, or any other. */
async function pickSource(engine: EngineClient): Promise<string | undefined> {
  const title = "Quantise a model of your own";
  const models = quantisable(await engine.request("models/list", null));
  if (models.length === 0) return pickModelFile(title, "Choose Model");
  const items: SourceItem[] = [
    ...models.map(({ name, sizeBytes, path }) => ({ label: name, description: formatBytes(sizeBytes), path })),
    { label: "$(folder-opened) Choose a GGUF file …" },
  ];
  const chosen = await vscode.window.showQuickPick(items, { title });
  return chosen && (chosen.path ?? (await pickModelFile(title, "Choose Model")));
}

/** What is refused is shown, too, with the reason; choosing it says it once more. */
async function pickOffer({ type, sizeBytes, offers }: QuantisePlan): Promise<QuantiseOffer | undefined> {
  const items: OfferItem[] = offers.map((offer) => ({
    label: offer.refusal === "" ? offer.type : `$(circle-slash) ${offer.type}`,
    detail: offerDetail(offer),
    offer,
  }));
  const title = `The model is ${type}, ${formatBytes(sizeBytes)}. Quantise it to …`;
  const offer = (await vscode.window.showQuickPick(items, { title }))?.offer;
  if (!offer?.refusal) return offer;
  void vscode.window.showInformationMessage(offer.refusal);
  return undefined;
}

async function isAgreed(plan: QuantisePlan, offer: QuantiseOffer): Promise<boolean> {
  for (const { text, detail, yes } of questionsOf(plan, offer)) {
    if ((await vscode.window.showWarningMessage(text, { modal: true, detail }, yes)) !== yes) return false;
  }
  return true;
}

function quantise(
  engine: EngineClient,
  path: string,
  { losesQuality }: QuantisePlan,
  offer: QuantiseOffer,
): Thenable<QuantiseResult | undefined> {
  const params = { path, type: offer.type, lossAccepted: losesQuality, replace: offer.targetExists };
  return showProgress(`NMOS: quantising to ${offer.type}`, (signal, progress) => {
    let shown = 0;
    return engine.request("models/quantise", params, {
      signal,
      onProgress: (value) => {
        // The check has no measure of its own: the bar is full by then.
        const percent = value.phase === "checking" ? 100 : 100 * value.fraction;
        progress.report({ message: quantiseProgressText(value), increment: percent - shown });
        shown = percent;
      },
    });
  });
}

/** Resolves with undefined when the user cancels it; nothing is left then. */
function showProgress<Result>(
  title: string,
  work: (signal: AbortSignal, progress: vscode.Progress<{ message?: string; increment?: number }>) => Promise<Result>,
): Thenable<Result | undefined> {
  return vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title, cancellable: true },
    async (progress, token) => {
      try {
        return await withAbortSignal(token, (signal) => work(signal, progress));
      } catch (thrown) {
        if (toEngineError(thrown).code !== "CANCELLED") throw thrown;
        return undefined;
      }
    },
  );
}

const uses = [
  { title: "Use for Chat", setting: "chat.model" },
  { title: "Use for Ghost Text", setting: "completion.model" },
];

async function offerUse(result: QuantiseResult, offer: QuantiseOffer): Promise<void> {
  const titles = uses.map(({ title }) => title);
  const chosen = await vscode.window.showInformationMessage(resultText(result, offer), ...titles);
  const use = uses.find(({ title }) => title === chosen);
  if (!use) return;
  const configuration = vscode.workspace.getConfiguration("nmos");
  await configuration.update(use.setting, result.path, vscode.ConfigurationTarget.Global);
}
