import * as vscode from "vscode";
import type { EngineClient } from "../engine/client/engine_client";
import type { ArchiveInstalled } from "../shared/archive";
import { DisposableStack, type Disposable } from "../shared/disposable";
import type { DownloadProgress } from "../shared/download_progress";
import { toEngineError } from "../shared/errors";
import type { PackInstalled } from "../shared/packs";
import { withAbortSignal } from "./abort_signal";
import { progressReporter } from "./download_progress";
import type { EngineView } from "./engine_view";
import { archiveText, installUpdate } from "./offline_archive";
import { packOffer } from "./pack_text";
import { registerCommand } from "./report_failure";

type Install = (signal: AbortSignal, onProgress: (value: DownloadProgress) => void) => Promise<unknown>;

/** NVIDIA's, which the pack holds as well. */
const licenceUrl = "https://docs.nvidia.com/cuda/eula/index.html";

/** Install and remove CUDA support; install packs and models from files, for machines without a network. */
export function registerPackCommands(engine: EngineClient, view: EngineView): Disposable {
  const stack = new DisposableStack();
  stack.add(registerCommand("nmos.installCuda", "CUDA support was not installed", () => installCuda(engine)));
  stack.add(registerCommand("nmos.removeCuda", "CUDA support was not removed", () => removeCuda(engine)));
  stack.add(
    registerCommand("nmos.installFromFile", "The file was not installed", (path) => installFromFile(engine, path)),
  );
  stack.add(announcePreparing(view));
  return stack;
}

async function installCuda(engine: EngineClient): Promise<void> {
  const offer = packOffer(await engine.request("packs/list", null));
  if (offer.kind === "none" || offer.kind === "installed") {
    void vscode.window.showInformationMessage(offer.text);
    return;
  }
  if (offer.kind === "file only") {
    const fromFile = "Install from File";
    const chosen = await vscode.window.showWarningMessage(offer.text, fromFile);
    if (chosen === fromFile) await installFromFile(engine);
    return;
  }
  const { pack, text, detail } = offer;
  if (!(await isAgreed(text, detail))) return;
  let result: PackInstalled | undefined;
  const isInstalled = await showProgress(`NMOS: installing ${pack.title}`, async (signal, onProgress) => {
    result = await engine.request("packs/install", { pack: pack.id }, { signal, onProgress });
  });
  if (isInstalled) await takeEffect(engine, "CUDA support is installed.", result);
}

async function isAgreed(text: string, detail: string): Promise<boolean> {
  const install = "Install";
  const read = "Read Licence";
  const chosen = await vscode.window.showInformationMessage(text, { modal: true, detail }, install, read);
  if (chosen !== read) return chosen === install;
  await vscode.env.openExternal(vscode.Uri.parse(licenceUrl, true));
  return isAgreed(text, detail);
}

async function removeCuda(engine: EngineClient): Promise<void> {
  const { packs } = await engine.request("packs/list", null);
  const there = packs.filter(({ installed, outdated, partialBytes }) => installed || outdated || partialBytes > 0);
  if (there.length === 0) {
    void vscode.window.showInformationMessage("CUDA support is not installed.");
    return;
  }
  const remove = "Remove";
  const detail = "Cards compute through Vulkan then. You can install it again.";
  const question = "Remove CUDA support from this machine?";
  if ((await vscode.window.showWarningMessage(question, { modal: true, detail }, remove)) !== remove) return;
  let result: PackInstalled | undefined;
  for (const { id } of there) result = await engine.request("packs/remove", { pack: id });
  await takeEffect(engine, "CUDA support is removed.", result);
}

/** Of an engine pack, a model or an archive of them, by what its name ends with. */
async function installFromFile(engine: EngineClient, given?: unknown): Promise<void> {
  const path = typeof given === "string" ? given : await pickFile();
  if (path === undefined) return;
  if (path.toLowerCase().endsWith(".zip")) {
    await installArchive(engine, path);
    return;
  }
  if (path.toLowerCase().endsWith(".gguf")) {
    const isInstalled = await showProgress("NMOS: installing the model", (signal, onProgress) =>
      engine.request("models/installFile", { path }, { signal, onProgress }),
    );
    if (isInstalled) void vscode.window.showInformationMessage("The model is installed.");
    return;
  }
  let result: PackInstalled | undefined;
  const isInstalled = await showProgress("NMOS: installing the engine pack", async (signal, onProgress) => {
    result = await engine.request("packs/installFile", { path }, { signal, onProgress });
  });
  if (isInstalled) await takeEffect(engine, "CUDA support is installed.", result);
}

async function installArchive(engine: EngineClient, path: string): Promise<void> {
  const done: { result?: ArchiveInstalled } = {};
  await showProgress("NMOS: installing from the archive", async (signal, onProgress) => {
    done.result = await engine.request("archive/install", { path }, { signal, onProgress });
  });
  const { result } = done;
  if (!result) return;
  const text = archiveText(result);
  if (!result.update || !(await installUpdate(result.update))) {
    await takeEffect(engine, text, result);
    return;
  }
  const reload = "Reload Window";
  const said = `${text} NMOS ${result.update.version} is installed, and runs when the windows are reloaded.`;
  const chosen = await vscode.window.showInformationMessage(said, reload);
  if (chosen === reload) await vscode.commands.executeCommand("workbench.action.reloadWindow");
}

async function pickFile(): Promise<string | undefined> {
  const files = await vscode.window.showOpenDialog({
    title: "Install an archive, an engine pack or a model",
    openLabel: "Install",
    filters: { "Archives, engine packs and models": ["zip", "nmospack", "gguf"] },
  });
  return files?.[0]?.fsPath;
}

/** False when the user cancels it; what is downloaded stays for the next time. */
function showProgress(title: string, install: Install): Thenable<boolean> {
  return vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title, cancellable: true },
    async (progress, token) => {
      try {
        await withAbortSignal(token, (signal) => install(signal, progressReporter(progress)));
        return true;
      } catch (thrown) {
        if (toEngineError(thrown).code !== "CANCELLED") throw thrown;
        return false;
      }
    },
  );
}

/** An engine without models, downloads and a quantisation is started anew at once, because nobody notices. */
async function takeEffect(engine: EngineClient, done: string, result: PackInstalled | undefined): Promise<void> {
  if (!result?.needsRestart) {
    void vscode.window.showInformationMessage(done);
    return;
  }
  if (await isIdle(engine)) {
    await engine.endHost();
    void vscode.window.showInformationMessage(done);
    return;
  }
  const restart = "Restart Engine";
  const chosen = await vscode.window.showInformationMessage(`${done} It holds when the engine starts anew.`, restart);
  if (chosen === restart) await vscode.commands.executeCommand("nmos.restartEngine");
}

async function isIdle(engine: EngineClient): Promise<boolean> {
  const { models, loading, quantising } = await engine.request("engine/status", { startEngine: false });
  if (models.length > 0 || loading.length > 0 || quantising) return false;
  const { packs } = await engine.request("packs/list", null);
  return ![...packs, ...(await engine.request("models/list", null))].some(({ downloading }) => downloading);
}

/** Says once in a window that the first answers take long on this card. */
function announcePreparing(view: EngineView): Disposable {
  let isAnnounced = false;
  return view.onChanged(() => {
    const text = view.status?.preparing ?? "";
    if (isAnnounced || text === "") return;
    isAnnounced = true;
    void vscode.window.showInformationMessage(text);
  });
}
