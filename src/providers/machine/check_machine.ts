import { homedir, hostname, userInfo } from "node:os";
import * as vscode from "vscode";
import type { EngineClient } from "../../engine/client/engine_client";
import { DisposableStack, type Disposable } from "../../shared/disposable";
import type { MachineReport } from "../../shared/machine_report";
import { withAbortSignal } from "../abort_signal";
import { registerCommand } from "../report_failure";
import { adviceFor } from "./machine_advice";
import { machineText } from "./machine_text";
import { withoutPersonalData, type Identity } from "./without_personal_data";

const scheme = "nmos-machine";

/** Shows what the machine can do for models, and copies that for a bug report. */
export function registerCheckMachine(engine: EngineClient): Disposable {
  const stack = new DisposableStack();
  const changed = stack.add(new vscode.EventEmitter<vscode.Uri>());
  const uri = vscode.Uri.from({ scheme, path: "/This Machine.md" });
  let report: MachineReport | undefined;

  stack.add(
    vscode.workspace.registerTextDocumentContentProvider(scheme, {
      onDidChange: changed.event,
      provideTextDocumentContent: () => (report ? machineText(report) : "Run “NMOS: Check This Machine” again."),
    }),
  );
  stack.add(
    registerCommand("nmos.checkMachine", "The machine was not checked", async () => {
      report = await check(engine);
      changed.fire(uri);
      await vscode.commands.executeCommand("markdown.showPreview", uri);
      await offer(report);
    }),
  );
  stack.add(
    registerCommand("nmos.copyMachineReport", "The report was not copied", async () => {
      report ??= await check(engine);
      await copy(report);
    }),
  );
  return stack;
}

async function check(engine: EngineClient): Promise<MachineReport> {
  return vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: "NMOS: checking this machine", cancellable: true },
    (progress, token) =>
      withAbortSignal(token, (signal) =>
        engine.request(
          "engine/checkMachine",
          {},
          {
            signal,
            onProgress: (name) => {
              progress.report({ message: name });
            },
          },
        ),
      ),
  );
}

/** The most useful thing to do, beside the copy. */
async function offer(report: MachineReport): Promise<void> {
  const action = adviceFor(report).find((advice) => advice.action)?.action;
  const copyIt = "Copy for a Bug Report";
  const buttons = [...(action ? [action.title] : []), copyIt];
  const chosen = await vscode.window.showInformationMessage("NMOS has checked this machine.", ...buttons);
  if (chosen === copyIt) await copy(report);
  else if (action && chosen === action.title) await vscode.commands.executeCommand(action.command);
}

async function copy(report: MachineReport): Promise<void> {
  await vscode.env.clipboard.writeText(machineText(withoutPersonalData(report, identity())));
  void vscode.window.showInformationMessage(
    "The report is copied, without paths, names of your files and your own name.",
  );
}

function identity(): Identity {
  try {
    return { user: userInfo().username, home: homedir(), host: hostname() };
  } catch {
    // A user that the system does not know has no name.
    return { user: "", home: "", host: hostname() };
  }
}
