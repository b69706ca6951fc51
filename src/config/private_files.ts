import * as vscode from "vscode";
import { matchesAny } from "./glob";
import { readPrivacySettings } from "./settings.generated";
import { booleanMap, stringList } from "./setting_values";

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
  return matchesFile(uri, patterns);
}

/** Whether VS Code hides the file from the explorer (`files.exclude`), such as the inside of `.git`. */
export function isHiddenFile(uri: vscode.Uri): boolean {
  const exclude = booleanMap(vscode.workspace.getConfiguration("files", uri).get("exclude"), {});
  const folders = Object.keys(exclude).filter((glob) => exclude[glob]);
  return matchesFile(
    uri,
    folders.flatMap((glob) => [glob, `${glob}/**`]),
  );
}

function matchesFile(uri: vscode.Uri, globs: readonly string[]): boolean {
  const relative = vscode.workspace.asRelativePath(uri, false).replaceAll("\\", "/");
  return matchesAny(uri.path, globs) || matchesAny(relative, globs);
}
