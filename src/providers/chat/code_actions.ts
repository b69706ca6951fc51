import * as vscode from "vscode";
import type { CodeAction } from "../../shared/chat_messages";
import { lastLineOf } from "../code_lines";
import { pathOf } from "../document_file";
import type { EditReview } from "../edit_review";
import { editorInFront } from "../editor_in_front";
import { placeCode } from "./code_placement";

/** What the buttons of a code block do. */
export async function runCodeAction(action: CodeAction, code: string, review: EditReview): Promise<void> {
  if (action === "copy") {
    await vscode.env.clipboard.writeText(code);
    return;
  }
  const editor = editorInFront();
  if (!editor) {
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ content: code }));
    return;
  }
  if (action === "insert") await insert(editor, code);
  else await propose(editor, code, review);
}

async function insert(editor: vscode.TextEditor, code: string): Promise<void> {
  const inserted = await editor.edit((edit) => {
    for (const selection of editor.selections) edit.replace(selection, code);
  });
  if (!inserted) void vscode.window.showWarningMessage("The code was not inserted: is the file read-only?");
  await vscode.window.showTextDocument(editor.document, editor.viewColumn);
}

/** Shows the block as a diff in its place in the file. */
async function propose(editor: vscode.TextEditor, code: string, review: EditReview): Promise<void> {
  const { document, selection } = editor;
  const lines = document.getText().split(/\r?\n/);
  const { first, last, text } = selection.isEmpty
    ? placeCode(lines, selection.active.line, code)
    : { first: selection.start.line, last: lastLineOf(selection), text: code };
  const end = Math.min(last, document.lineCount - 1);
  const range = new vscode.Range(first, 0, end, document.lineAt(end).text.length);
  const path = pathOf(document);
  const context = {
    document,
    range,
    path,
    languageId: document.languageId,
    code: document.getText(range),
    problems: [],
  };
  await review.propose(context, `Apply to ${path}`, () => Promise.resolve(text));
}
