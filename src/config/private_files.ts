import * as vscode from "vscode";
import { matchesAny } from "./glob";
import { readPrivacySettings } from "./settings.generated";
import { stringList } from "./setting_values";

/**
 * Whether a file must never go into a prompt. The patterns of the user and of the workspace add up: a workspace that
 * lists its own cannot take the user's away.
 */
export function isPrivateFile(uri: vscode.Uri): boolean {
  const setting = vscode.workspace.getConfiguration("nmos", uri).inspect("privacy.exclude");
  const patterns = [
    ...stringList(setting?.globalValue, stringList(setting?.defaultValue, [])),
    ...readPrivacySettings(uri).exclude,
    ...stringList(setting?.workspaceValue, []),
    ...stringList(setting?.workspaceFolderValue, []),
  ];
  const relative = vscode.workspace.asRelativePath(uri, false).replaceAll("\\", "/");
  return matchesAny(uri.path, patterns) || matchesAny(relative, patterns);
}
