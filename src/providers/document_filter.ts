import * as vscode from "vscode";
import { isHiddenFile, isPrivateFile } from "../config/private_files";
import { fileOf } from "./document_file";
import { judgeDocument, type DocumentVerdict } from "./document_verdict";

/** Whether the document's text may go into a prompt, and why not. */
export function documentVerdict(document: vscode.TextDocument): DocumentVerdict {
  const file = fileOf(document);
  return judgeDocument({
    scheme: file.scheme,
    inWorkspace: vscode.workspace.getWorkspaceFolder(file) !== undefined,
    length: document.offsetAt(document.lineAt(document.lineCount - 1).range.end),
    isPrivate: isPrivateFile(file),
    isHidden: isHiddenFile(file),
    workspaceTrusted: vscode.workspace.isTrusted,
  });
}

export function isEligible(document: vscode.TextDocument): boolean {
  return documentVerdict(document) === "eligible";
}
