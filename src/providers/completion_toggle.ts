import * as vscode from "vscode";
import { readCompletionSettings } from "../config/settings.generated";
import { remembered, type SettingsScope } from "../config/settings_memory";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { scopeOf } from "./document_file";
import { registerCommand } from "./report_failure";
import { languageEnabled } from "./language_switch";

export type Availability = "on" | "off" | "off for language" | "off in editor" | "snoozed";

/** Whether ghost text is wanted: overall, for a language, by the editor at all, or not for a while. */
export interface CompletionToggle extends Disposable {
  availability(document: vscode.TextDocument | undefined): Availability;
  /** Milliseconds since the epoch at which snoozing ends; 0 when it is not snoozed. */
  readonly snoozedUntil: number;
  readonly onChanged: vscode.Event<void>;
}

/** VS Code's own setting, without which it asks no extension for ghost text while the user types. */
export const editorSwitch = "editor.inlineSuggest.enabled";

const isOffInEditor = remembered(
  (scope) => vscode.workspace.getConfiguration(undefined, scope).get(editorSwitch) === false,
);

const snoozes = [5, 15, 60, 240];

export function registerCompletionToggle(): CompletionToggle {
  const stack = new DisposableStack();
  const changed = stack.add(new vscode.EventEmitter<void>());
  let snoozedUntil = 0;
  let wakeUp: ReturnType<typeof setTimeout> | undefined;

  function snoozeUntil(time: number): void {
    clearTimeout(wakeUp);
    snoozedUntil = time;
    if (time > 0) {
      wakeUp = setTimeout(() => {
        snoozeUntil(0);
      }, time - Date.now());
    }
    changed.fire();
  }

  stack.add(
    registerCommand("nmos.completion.toggle", "Ghost text was not switched", async () => {
      if (snoozedUntil > 0) {
        snoozeUntil(0);
        return;
      }
      const { enabled } = readCompletionSettings(scopeOfEditor());
      await update("completion.enabled", !enabled);
    }),
  );
  stack.add(
    registerCommand("nmos.completion.toggleLanguage", "Ghost text was not switched", async () => {
      const document = vscode.window.activeTextEditor?.document;
      if (!document) {
        void vscode.window.showInformationMessage("Open a file of the language first.");
        return;
      }
      const { languages } = readCompletionSettings(scopeOf(document));
      const enabled = languageEnabled(languages, document.languageId);
      await update("completion.languages", { ...languages, [document.languageId]: !enabled });
    }),
  );
  stack.add(
    registerCommand("nmos.completion.snooze", "Ghost text was not snoozed", async () => {
      const choices = [
        ...(snoozedUntil > 0 ? [{ label: "$(debug-start) Resume now", minutes: 0 }] : []),
        ...snoozes.map((minutes) => ({ label: `$(bell-slash) For ${spell(minutes)}`, minutes })),
      ];
      const chosen = await vscode.window.showQuickPick(choices, { title: "Snooze ghost text" });
      if (chosen) snoozeUntil(chosen.minutes === 0 ? 0 : Date.now() + chosen.minutes * 60_000);
    }),
  );
  stack.add(
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (["nmos.completion", editorSwitch].some((section) => change.affectsConfiguration(section))) changed.fire();
    }),
  );

  return {
    availability(document) {
      if (snoozedUntil > Date.now()) return "snoozed";
      const scope = document && scopeOf(document);
      const { enabled, languages } = readCompletionSettings(scope);
      if (!enabled) return "off";
      if (document && !languageEnabled(languages, document.languageId)) return "off for language";
      return isOffInEditor(scope) ? "off in editor" : "on";
    },
    get snoozedUntil() {
      return snoozedUntil;
    },
    onChanged: changed.event,
    dispose() {
      clearTimeout(wakeUp);
      stack.dispose();
    },
  };
}

function scopeOfEditor(): SettingsScope | undefined {
  const document = vscode.window.activeTextEditor?.document;
  return document && scopeOf(document);
}

/** Writes to the place the value comes from now, so that the change takes effect. */
async function update(key: string, value: unknown): Promise<void> {
  const configuration = vscode.workspace.getConfiguration("nmos", scopeOfEditor());
  const setting = configuration.inspect(key);
  const target =
    setting?.workspaceFolderValue !== undefined
      ? vscode.ConfigurationTarget.WorkspaceFolder
      : setting?.workspaceValue !== undefined
        ? vscode.ConfigurationTarget.Workspace
        : vscode.ConfigurationTarget.Global;
  await configuration.update(key, value, target);
}

function spell(minutes: number): string {
  if (minutes < 60) return `${minutes} minutes`;
  return minutes === 60 ? "an hour" : `${minutes / 60} hours`;
}
