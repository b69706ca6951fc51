import * as vscode from "vscode";
import { isPrivateFile } from "../config/private_files";
import type { Extract } from "../shared/completion";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { fileOf, pathOf } from "./document_file";
import { isEligible } from "./document_filter";
import { extractAround, RecentExtracts } from "./recent_extracts";

/** Extracts of the files the user was in lately. */
export interface RecentFiles extends Disposable {
  /**
   * At most `count` extracts of other files than that of `document`, of the same workspace folder or of none. The other cells of
   * a notebook stand around it as they are, and extracts of them would change with every step from cell to cell.
   */
  extracts(document: vscode.TextDocument, count: number): Extract[];
}

export function registerRecentFiles(): RecentFiles {
  const stack = new DisposableStack();
  const recent = new RecentExtracts();
  let last = placeOf(vscode.window.activeTextEditor);

  function leave(): void {
    if (!last || !isEligible(last.document)) return;
    const { document, line } = last;
    recent.remember(document.uri.toString(), fileOf(document).toString(), {
      path: pathOf(document),
      text: extractAround(document.lineCount, (at) => document.lineAt(at).text, line),
    });
  }

  stack.add(
    vscode.window.onDidChangeActiveTextEditor((editor) => {
      if (editor?.document === last?.document) return;
      leave();
      last = placeOf(editor);
    }),
  );
  stack.add(
    vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => {
      if (textEditor === vscode.window.activeTextEditor) last = placeOf(textEditor);
    }),
  );
  stack.add(
    vscode.workspace.onDidDeleteFiles(({ files }) => {
      for (const uri of files) recent.forget(uri.toString());
    }),
  );
  stack.add(
    vscode.workspace.onDidRenameFiles(({ files }) => {
      for (const { oldUri } of files) recent.forget(oldUri.toString());
    }),
  );

  return {
    extracts(document, count) {
      const own = fileOf(document);
      const folder = vscode.workspace.getWorkspaceFolder(own);
      return recent.recent(count, (file) => {
        if (file === own.toString()) return false;
        const uri = vscode.Uri.parse(file, true);
        return vscode.workspace.getWorkspaceFolder(uri) === folder && !isPrivateFile(uri);
      });
    },
    dispose() {
      stack.dispose();
    },
  };
}

function placeOf(editor: vscode.TextEditor | undefined): { document: vscode.TextDocument; line: number } | undefined {
  return editor && { document: editor.document, line: editor.selection.active.line };
}
