/**
 * An extension that shows what is going to be typed as ghost text, and computes nothing: what ghost text itself does to typing.
 * Bundled and packaged by `writeControlExtension`.
 */
import * as vscode from "vscode";
import { typedText } from "./typed_text";

/** Characters before the cursor that tell where in the text it is. */
const known = 20;
/** Milliseconds, about as long as a small model takes on two cores. */
const suggestionTime = 130;

export function activate(context: vscode.ExtensionContext): void {
  const provider: vscode.InlineCompletionItemProvider = {
    async provideInlineCompletionItems(document, position, _context, token) {
      if (vscode.workspace.getConfiguration("nmosControl").get("enabled") !== true) return [];
      await new Promise((resolve) => setTimeout(resolve, suggestionTime));
      if (token.isCancellationRequested) return [];
      const rest = restOfLine(document.getText(new vscode.Range(new vscode.Position(0, 0), position)));
      return rest ? [new vscode.InlineCompletionItem(rest, new vscode.Range(position, position))] : [];
    },
  };
  context.subscriptions.push(vscode.languages.registerInlineCompletionItemProvider({ pattern: "**" }, provider));
}

/** Of the text that is typed again and again, behind what is before the cursor. */
function restOfLine(before: string): string {
  const text = typedText + typedText;
  const last = before.slice(-known);
  const found = text.indexOf(last);
  return found < 0 ? "" : (text.slice(found + last.length).split("\n")[0] ?? "");
}
