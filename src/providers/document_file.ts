import * as vscode from "vscode";
import type { SettingsScope } from "../config/settings_memory";

/** The notebook that a document is a cell of. */
export function notebookOf(document: vscode.TextDocument): vscode.NotebookDocument | undefined {
  if (document.uri.scheme !== "vscode-notebook-cell") return undefined;
  return vscode.workspace.notebookDocuments.find((notebook) =>
    notebook.getCells().some((cell) => cell.document === document),
  );
}

/**
 * The file that a document belongs to: its own, or that of its notebook. The addresses of cells lie in no workspace
 * folder, so that neither the settings nor the patterns of the folder would hold for them.
 */
export function fileOf(document: vscode.TextDocument): vscode.Uri {
  return notebookOf(document)?.uri ?? document.uri;
}

/** Where the document's settings are read. */
export function scopeOf(document: vscode.TextDocument): SettingsScope {
  return { uri: fileOf(document), languageId: document.languageId };
}

/** Relative to the workspace, `/`-separated. */
export function pathOf(document: vscode.TextDocument): string {
  return vscode.workspace.asRelativePath(fileOf(document)).replaceAll("\\", "/");
}

/** The workspace folder that the document lies in, by its name alone. */
export function projectOf(document: vscode.TextDocument): string | undefined {
  return vscode.workspace.getWorkspaceFolder(fileOf(document))?.name;
}
