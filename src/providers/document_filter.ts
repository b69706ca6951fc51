import * as vscode from "vscode";
import { isHiddenFile, isPrivateFile } from "../config/private_files";
import { judgeDocument, type DocumentVerdict } from "./document_verdict";

/** Whether the document's text may go into a prompt, and why not. */
export function documentVerdict(document: vscode.TextDocument): DocumentVerdict {
  return judgeDocument({
    scheme: document.uri.scheme,
    length: document.offsetAt(document.lineAt(document.lineCount - 1).range.end),
    isPrivate: isPrivateFile(document.uri),
    isHidden: isHiddenFile(document.uri),
    workspaceTrusted: vscode.workspace.isTrusted,
  });
}

export function isEligible(document: vscode.TextDocument): boolean {
  return documentVerdict(document) === "eligible";
}
