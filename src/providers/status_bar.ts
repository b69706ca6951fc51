import * as vscode from "vscode";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { editorSwitch, type CompletionToggle } from "./completion_toggle";
import { documentVerdict } from "./document_filter";
import type { DocumentVerdict } from "./document_verdict";
import type { EngineView } from "./engine_view";
import { registerCommand, remediesFor } from "./report_failure";
import { statusText } from "./status_text";

interface MenuItem extends vscode.QuickPickItem {
  command?: string;
  arguments?: string[];
}

const whyNot: Record<Exclude<DocumentVerdict, "eligible">, string> = {
  untrusted: "The workspace is not trusted.",
  scheme: "No ghost text in this kind of document.",
  private: "This file matches `nmos.privacy.exclude`: NMOS does not read it.",
  hidden: "This file matches `files.exclude`: NMOS does not read it.",
  "too large": "This file is too large for ghost text.",
};

/** Shows what NMOS does; a click opens a menu with what can be done about it. */
export function registerStatusBar(view: EngineView, toggle: CompletionToggle): Disposable {
  const stack = new DisposableStack();
  const item = stack.add(vscode.window.createStatusBarItem("nmos.status", vscode.StatusBarAlignment.Right, 100));
  item.name = "NMOS";
  item.command = "nmos.showMenu";

  function current(): ReturnType<typeof statusText> {
    return statusText({
      workspaceTrusted: vscode.workspace.isTrusted,
      availability: toggle.availability(vscode.window.activeTextEditor?.document),
      snoozedUntil: toggle.snoozedUntil,
      connection: view.connection,
      status: view.status,
      models: view.models,
      suggesting: view.suggesting,
      failure: view.failure,
    });
  }

  function update(): void {
    const { text, tooltip, severity } = current();
    const document = vscode.window.activeTextEditor?.document;
    const verdict = document ? documentVerdict(document) : "eligible";
    item.text = text;
    item.tooltip = verdict === "eligible" ? `NMOS: ${tooltip}` : `NMOS: ${tooltip}\n${whyNot[verdict]}`;
    item.accessibilityInformation = { label: `NMOS: ${tooltip}`, role: "button" };
    item.backgroundColor =
      severity === "none" ? undefined : new vscode.ThemeColor(`statusBarItem.${severity}Background`);
  }

  stack.add(view.onChanged(update));
  stack.add(toggle.onChanged(update));
  stack.add(vscode.window.onDidChangeActiveTextEditor(update));
  stack.add(
    // A document whose language changes is opened anew in the same editor.
    vscode.workspace.onDidOpenTextDocument((document) => {
      if (document === vscode.window.activeTextEditor?.document) update();
    }),
  );
  stack.add(vscode.workspace.onDidGrantWorkspaceTrust(update));
  stack.add(
    registerCommand("nmos.showMenu", "The menu could not be shown", async () => {
      const chosen = await vscode.window.showQuickPick(menu(view, toggle), {
        title: "NMOS",
        placeHolder: current().tooltip,
      });
      if (chosen?.command) await vscode.commands.executeCommand(chosen.command, ...(chosen.arguments ?? []));
    }),
  );
  update();
  item.show();
  return stack;
}

function menu(view: EngineView, toggle: CompletionToggle): MenuItem[] {
  const document = vscode.window.activeTextEditor?.document;
  const availability = toggle.availability(document);
  const language = document?.languageId;
  const noModel = view.models?.every((model) => !model.installed) ?? false;
  const problem = noModel ? "MODEL_NOT_INSTALLED" : view.failure?.code;
  const remedies = problem ? remediesFor(problem) : [];
  const separator = { label: "", kind: vscode.QuickPickItemKind.Separator };
  return [
    ...remedies.map(({ title, command }) => ({ label: `$(lightbulb) ${title}`, command })),
    ...(availability === "off in editor"
      ? [
          {
            label: "$(settings-gear) Ghost text in VS Code's own settings …",
            description: "off",
            command: "workbench.action.openSettings",
            arguments: [editorSwitch],
          },
        ]
      : []),
    ...(remedies.length > 0 ? [separator] : []),
    {
      label: availability === "snoozed" ? "$(debug-start) Resume ghost text" : "$(symbol-event) Ghost text on or off",
      description: availability === "off" ? "off" : "",
      command: "nmos.completion.toggle",
    },
    ...(language
      ? [
          {
            label: `$(code) Ghost text for ${language} on or off`,
            description: availability === "off for language" ? "off" : "",
            command: "nmos.completion.toggleLanguage",
          },
        ]
      : []),
    { label: "$(bell-slash) Snooze ghost text …", command: "nmos.completion.snooze" },
    separator,
    { label: "$(comment-discussion) Open chat", command: "nmos.chat.focus" },
    { label: "$(list-selection) Select model …", command: "nmos.selectModel" },
    { label: "$(cloud-download) Download model …", command: "nmos.downloadModel" },
    separator,
    { label: "$(checklist) Check this machine", command: "nmos.checkMachine" },
    { label: "$(server-environment) Show memory", command: "nmos.showMemory" },
    { label: "$(clear-all) Unload models", command: "nmos.unload" },
    { label: "$(debug-restart) Restart engine", command: "nmos.restartEngine" },
    { label: "$(beaker) Run self-test", command: "nmos.selfTest" },
    { label: "$(output) Open engine log", command: "nmos.openLog" },
  ];
}
