import * as vscode from "vscode";

/** Characters on each side of the cursor that are sent; the engine host cuts them to its budget of tokens. */
export const windowReach = 48_000;

const step = windowReach / 2;

/** What is read of a document; never all of it, because that happens at every keystroke. */
type Text = Pick<vscode.TextDocument, "getText" | "offsetAt" | "positionAt">;

/**
 * The text before `start` and behind `end`, which are both the cursor unless something in between is to be replaced. In
 * a long document the text before it begins at a multiple of half the reach (at the next line start), so that it only
 * grows at its end while the user types and the engine keeps what it has computed.
 */
export function windowAround(
  document: Text,
  start: vscode.Position,
  end: vscode.Position,
): { prefix: string; suffix: string } {
  const last = document.positionAt(document.offsetAt(end) + windowReach);
  return {
    prefix: document.getText(new vscode.Range(windowStart(document, start), start)),
    suffix: document.getText(new vscode.Range(end, last)),
  };
}

function windowStart(document: Text, cursor: vscode.Position): vscode.Position {
  const offset = document.offsetAt(cursor);
  if (offset <= windowReach) return new vscode.Position(0, 0);
  const at = document.positionAt(Math.floor((offset - step) / step) * step);
  return at.character === 0 || at.line === cursor.line ? at : new vscode.Position(at.line + 1, 0);
}
