import * as vscode from "vscode";
import { readCompletionSettings } from "../config/settings.generated";
import { cellsAround } from "./cells_around";
import { pathOf, projectOf, scopeOf } from "./document_file";
import { windowAround } from "./document_window";
import type { RecentFiles } from "./recent_files";
import type { SuggestionQuery } from "./suggestion_source";

const linesWanted = { auto: "auto", always: "multi", never: "single" } as const;

export interface SuggestionPlace {
  query: SuggestionQuery;
  /** Text of the item selected in the suggest widget, which the ghost text has to begin with. */
  selected: string;
  /** What ghost text replaces. */
  range: vscode.Range;
}

/**
 * A place and the text around it, as it would be after the selected item of the suggest widget was accepted; around a cell of a
 * notebook the other cells, too.
 */
export function suggestionPlace(
  document: vscode.TextDocument,
  position: vscode.Position,
  recentFiles: RecentFiles,
  item?: vscode.SelectedCompletionInfo,
): SuggestionPlace {
  const range = item?.range ?? new vscode.Range(position, position);
  const selected = item?.text ?? "";
  const { prefix, suffix } = windowAround(document, range.start, range.end);
  const { before, after } = cellsAround(document);
  const repository = projectOf(document);
  const settings = readCompletionSettings(scopeOf(document));
  return {
    selected,
    range,
    query: {
      model: settings.model,
      ...(repository !== undefined && { repository }),
      path: pathOf(document),
      languageId: document.languageId,
      prefix: before + prefix + selected,
      suffix: suffix + after,
      extracts: recentFiles.extracts(document, settings.recentFiles),
      lines: linesWanted[settings.multiline],
      maxTokens: settings.maxTokens,
    },
  };
}
