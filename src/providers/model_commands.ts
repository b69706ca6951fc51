import * as vscode from "vscode";
import type { EngineClient } from "../engine/client/engine_client";
import { DisposableStack, type Disposable } from "../shared/disposable";
import type { ModelRef, ModelRole, ModelState } from "../shared/models";
import { downloadModel } from "./model_download";
import { byUsefulness, formatBytes, modelDetail, modelNote, removable } from "./model_text";
import { registerCommand } from "./report_failure";
import { pickModelFile } from "./pick_model_file";

interface ModelItem extends vscode.QuickPickItem {
  model: ModelState;
}

interface ChoiceItem extends vscode.QuickPickItem {
  choose: () => Promise<ModelRef | undefined>;
}

const settingOf = { fast: "completion.model", main: "chat.model" } as const;

/** Select, download and remove models. */
export function registerModelCommands(engine: EngineClient): Disposable {
  const stack = new DisposableStack();
  stack.add(registerCommand("nmos.selectModel", "The model was not selected", (role) => selectModel(engine, role)));
  stack.add(registerCommand("nmos.downloadModel", "The download failed", (ref) => pickDownload(engine, ref)));
  stack.add(registerCommand("nmos.removeModel", "The model was not removed", () => removeModel(engine)));
  return stack;
}

async function pickDownload(engine: EngineClient, ref: unknown): Promise<void> {
  const models = await engine.request("models/list", null);
  const missing = models.filter((model) => !model.installed).sort(byUsefulness);
  const model = missing.find((candidate) => candidate.ref === ref) ?? (await pickModel(missing, "Download a model"));
  if (!model || !(await downloadModel(engine, model))) return;
  void vscode.window.showInformationMessage(`${model.name} is installed.`);
}

async function pickModel(models: ModelState[], title: string): Promise<ModelState | undefined> {
  if (models.length === 0) {
    void vscode.window.showInformationMessage("There is no model left to choose.");
    return undefined;
  }
  const chosen = await vscode.window.showQuickPick(models.map(modelItem), { title, matchOnDetail: true });
  return chosen?.model;
}

function modelItem(model: ModelState): ModelItem {
  return { label: model.name, description: modelNote(model), detail: modelDetail(model), model };
}

async function selectModel(engine: EngineClient, asked: unknown): Promise<void> {
  const role = asked === "fast" || asked === "main" ? asked : await pickRole();
  if (!role) return;
  const configuration = vscode.workspace.getConfiguration("nmos");
  const models = await engine.request("models/list", null);
  const current: unknown = configuration.get(settingOf[role]);
  const chosen = await vscode.window.showQuickPick(modelChoices(engine, models, role, current), {
    title: role === "fast" ? "Model for ghost text" : "Model for chat and commands",
    matchOnDetail: true,
  });
  const ref = await chosen?.choose();
  if (ref !== undefined) await configuration.update(settingOf[role], ref, vscode.ConfigurationTarget.Global);
}

async function pickRole(): Promise<ModelRole | undefined> {
  const roles: (vscode.QuickPickItem & { role: ModelRole })[] = [
    { label: "$(sparkle) Ghost text", detail: "A small model that answers while you type", role: "fast" },
    { label: "$(comment-discussion) Chat and commands", detail: "As large a model as memory allows", role: "main" },
  ];
  return (await vscode.window.showQuickPick(roles, { title: "Select the model for …" }))?.role;
}

function modelChoices(engine: EngineClient, models: ModelState[], role: ModelRole, current: unknown): ChoiceItem[] {
  const recommended = models.find((model) => model.recommendedFor.includes(role));
  const mark = (ref: string): string => (ref === current ? "$(check) " : "");
  const suitable = models.filter((model) => model.installed || model.roles.includes(role)).sort(byUsefulness);
  return [
    {
      label: `${mark("auto")}Automatic`,
      description: recommended ? `recommended here: ${recommended.name}` : "",
      choose: () => Promise.resolve("auto"),
    },
    ...suitable.map((model) => ({
      ...modelItem(model),
      label: mark(model.ref) + model.name,
      choose: async () => (model.installed || (await downloadModel(engine, model)) ? model.ref : undefined),
    })),
    { label: "$(folder-opened) Choose a GGUF file …", choose: () => pickModelFile("Choose a model", "Use Model") },
  ];
}

async function removeModel(engine: EngineClient): Promise<void> {
  const models = await engine.request("models/list", null);
  const model = await pickModel(removable(models).sort(byUsefulness), "Remove a model from this machine");
  if (!model) return;
  const remove = "Remove";
  const size = formatBytes(model.installed ? model.sizeBytes : model.partialBytes);
  const chosen = await vscode.window.showWarningMessage(
    `Remove ${model.name} from this machine?`,
    { modal: true, detail: `This frees ${size} in ${model.path}. You can download it again.` },
    remove,
  );
  if (chosen === remove) await engine.request("models/remove", { model: model.ref });
}
