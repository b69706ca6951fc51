import * as vscode from "vscode";
import type { Attachment, AttachmentKind } from "../../shared/chat_messages";
import { lastLineOf } from "../code_lines";
import { pathOf } from "../document_file";
import { isEligible } from "../document_filter";
import { editorInFront } from "../editor_in_front";

/** Larger files would fill the context of any model that fits this kind of machine. */
const longestAttachment = 60_000;

/** What to attach from the editor in front; tells the user and resolves with null when there is nothing. */
export function attachmentFromEditor(kind: AttachmentKind): Attachment | null {
  const editor = editorInFront();
  if (!editor) return refuse("Open a file first, then attach it.");
  const { document, selection } = editor;
  if (!isEligible(document)) {
    return refuse(
      "NMOS does not read this document: the workspace is not trusted, or the document is excluded from prompts.",
    );
  }
  const path = pathOf(document);
  const common = { kind, path, languageId: document.languageId };
  switch (kind) {
    case "selection": {
      if (selection.isEmpty) return refuse("Select some code first, then attach it.");
      const label = `${path}:${selection.start.line + 1}-${lastLineOf(selection) + 1}`;
      return checked({ ...common, label, content: document.getText(selection) });
    }
    case "file":
      return checked({ ...common, label: path, content: document.getText() });
    case "problems": {
      const problems = vscode.languages.getDiagnostics(document.uri).map(describeProblem(document));
      if (problems.length === 0) return refuse(`VS Code reports no problems in ${path}.`);
      return checked({ ...common, label: path, content: problems.join("\n") });
    }
  }
}

function describeProblem(document: vscode.TextDocument): (problem: vscode.Diagnostic) => string {
  return ({ range, message, severity }) => {
    // Reports of a moment ago may lie behind the end of the document of now.
    const line = Math.min(range.start.line, document.lineCount - 1);
    return `- line ${line + 1}, ${vscode.DiagnosticSeverity[severity]}: ${message} (\`${document.lineAt(line).text.trim()}\`)`;
  };
}

function checked(attachment: Attachment): Attachment | null {
  if (attachment.content.length <= longestAttachment) return attachment;
  return refuse(
    `${attachment.label} is too long to attach (${attachment.content.length} characters); select the part that matters.`,
  );
}

function refuse(message: string): null {
  void vscode.window.showInformationMessage(message);
  return null;
}
