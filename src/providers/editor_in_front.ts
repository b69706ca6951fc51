import * as vscode from "vscode";

/** What VS Code counts as editors though nobody edits there: panels, and the proposed side of a diff. */
const notEdited = new Set(["output", "debug", "nmos-edit"]);

/** The editor that the user means: the last one with the focus, else one that is in view. */
export function editorInFront(): vscode.TextEditor | undefined {
  const { activeTextEditor, visibleTextEditors } = vscode.window;
  const editors = activeTextEditor ? [activeTextEditor, ...visibleTextEditors] : visibleTextEditors;
  return editors.find(({ document }) => !notEdited.has(document.uri.scheme));
}
