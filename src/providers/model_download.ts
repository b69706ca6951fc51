import * as vscode from "vscode";
import type { EngineClient } from "../engine/client/engine_client";
import { toEngineError } from "../shared/errors";
import type { ModelState } from "../shared/models";
import { progressReporter } from "./download_progress";
import { formatBytes } from "./model_text";

/** Licences that ask for nothing before use. */
const permissive = new Set(["Apache-2.0", "MIT"]);

/**
 * Downloads a model with a notification whose Cancel pauses: what is on disk stays, and the next download resumes.
 * Resolves with whether the model is installed now.
 *
 * @throws EngineError when the download fails.
 */
export async function downloadModel(engine: EngineClient, model: ModelState): Promise<boolean> {
  if (!(await licenceAccepted(model))) return false;
  return vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: `NMOS: downloading ${model.name}`, cancellable: true },
    async (progress, token) => {
      const listener = token.onCancellationRequested(() => {
        // The download itself settles as cancelled and tells the rest.
        engine.request("models/pause", { model: model.ref }).catch(() => undefined);
      });
      try {
        await engine.request("models/download", { model: model.ref }, { onProgress: progressReporter(progress) });
        return true;
      } catch (thrown) {
        if (!token.isCancellationRequested && toEngineError(thrown).code !== "CANCELLED") throw thrown;
        void vscode.window.showInformationMessage(
          `The download of ${model.name} is paused. Start it again to go on where it stopped.`,
        );
        return false;
      } finally {
        listener.dispose();
      }
    },
  );
}

async function licenceAccepted(model: ModelState): Promise<boolean> {
  if (permissive.has(model.license)) return true;
  const accept = "Download";
  const read = "Read Licence";
  const chosen = await vscode.window.showWarningMessage(
    `${model.name} comes under the licence “${model.license}”, which may not allow every use.`,
    { modal: true, detail: `${formatBytes(model.sizeBytes)}\n${model.licenseUrl}` },
    accept,
    read,
  );
  if (chosen !== read) return chosen === accept;
  await vscode.env.openExternal(vscode.Uri.parse(model.licenseUrl, true));
  return licenceAccepted(model);
}
