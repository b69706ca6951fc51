import type * as vscode from "vscode";
import { notebookOf } from "./document_file";
import { windowReach } from "./document_window";

/** Text of a notebook on both sides of one of its cells. */
export interface CellsAround {
  before: string;
  after: string;
}

/** What stands between two cells. */
const between = "\n\n";

/**
 * The cells above and below one, of its own language, as if the notebook were one file: what is used in a cell was mostly defined
 * above it. Whole cells, the nearest ones, at most `windowReach` characters on each side. Nothing for what is no cell.
 *
 * Which ones depends on the others alone, so that the text begins where it did while this cell is typed in.
 */
export function cellsAround(document: vscode.TextDocument): CellsAround {
  const cells =
    notebookOf(document)
      ?.getCells()
      .map((cell) => cell.document) ?? [];
  const at = cells.indexOf(document);
  const isCode = ({ languageId }: vscode.TextDocument) => languageId === document.languageId;
  const above = nearest(cells.slice(0, Math.max(0, at)).filter(isCode).toReversed());
  const below = nearest(cells.slice(at + 1).filter(isCode));
  return {
    before: above
      .toReversed()
      .map((text) => text + between)
      .join(""),
    after: below.map((text) => between + text).join(""),
  };
}

/** The texts of cells that come the nearest first, without blank ones. */
function nearest(cells: readonly vscode.TextDocument[]): string[] {
  const texts: string[] = [];
  let length = 0;
  for (const cell of cells) {
    const text = cell.getText();
    if (text.trim() === "") continue;
    length += text.length + between.length;
    if (length > windowReach) break;
    texts.push(text);
  }
  return texts;
}
