import * as vscode from "vscode";
import { matchesAny } from "./glob";
import { readPrivacySettings } from "./settings.generated";
import { remembered } from "./settings_memory";
import { booleanMap, stringList } from "./setting_values";

/** Those of the user and of the workspace add up: a workspace that lists its own cannot take the user's away. */
const privatePatterns = remembered((scope) => {
  const setting = vscode.workspace.getConfiguration("nmos", scope).inspect("privacy.exclude");
  return [
    ...stringList(setting?.globalValue, stringList(setting?.defaultValue, [])),
    ...readPrivacySettings(scope).exclude,
    ...stringList(setting?.workspaceValue, []),
    ...stringList(setting?.workspaceFolderValue, []),
  ];
});

const hiddenPatterns = remembered((scope) => {
  const exclude = booleanMap(vscode.workspace.getConfiguration("files", scope).get("exclude"), {});
  return Object.keys(exclude)
    .filter((glob) => exclude[glob])
    .flatMap((glob) => [glob, `${glob}/**`]);
});

/** Whether a file must never go into a prompt. */
export function isPrivateFile(uri: vscode.Uri): boolean {
  return matchesFile(uri, privatePatterns(uri));
}

/** Whether VS Code hides the file from the explorer (`files.exclude`), such as the inside of `.git`. */
export function isHiddenFile(uri: vscode.Uri): boolean {
  return matchesFile(uri, hiddenPatterns(uri));
}

function matchesFile(uri: vscode.Uri, globs: readonly string[]): boolean {
  const relative = vscode.workspace.asRelativePath(uri, false).replaceAll("\\", "/");
  return matchesAny(uri.path, globs) || matchesAny(relative, globs);
}
