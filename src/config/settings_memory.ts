import * as vscode from "vscode";
import { DisposableStack, type Disposable } from "../shared/disposable";

/** Where a setting is read: for a file, or for a file in a language. */
export type SettingsScope = vscode.Uri | { uri: vscode.Uri; languageId: string };

/** Scopes of which the values of one reader are remembered. */
const mostScopes = 64;

const memories = new Set<Map<string, unknown>>();
let isWatching = false;

/**
 * Keeps what readers made with `remembered` say, until a setting or the workspace's folders change. VS Code puts a configuration
 * together anew for each question, for milliseconds on a busy machine, and suggestions are asked for with every key. To be
 * registered before those that read settings when they change.
 */
export function watchSettings(): Disposable {
  const stack = new DisposableStack();
  const forget = (): void => {
    for (const memory of memories) memory.clear();
  };
  stack.add(vscode.workspace.onDidChangeConfiguration(forget));
  stack.add(vscode.workspace.onDidChangeWorkspaceFolders(forget));
  isWatching = true;
  return {
    dispose() {
      isWatching = false;
      forget();
      stack.dispose();
    },
  };
}

/** `read`, which is called once for each scope as long as nothing it depends on changes. Nothing is remembered unless settings are watched. */
export function remembered<T>(read: (scope?: SettingsScope) => T): (scope?: SettingsScope) => T {
  const memory = new Map<string, T>();
  memories.add(memory);
  return (scope) => {
    if (!isWatching) return read(scope);
    const key = keyOf(scope);
    const known = memory.get(key);
    if (known !== undefined) return known;
    const value = read(scope);
    if (memory.size >= mostScopes) memory.clear();
    memory.set(key, value);
    return value;
  };
}

function keyOf(scope: SettingsScope | undefined): string {
  if (scope === undefined) return "";
  return "languageId" in scope ? `${scope.languageId} ${scope.uri.toString()}` : scope.toString();
}
