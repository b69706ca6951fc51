import * as vscode from "vscode";
import { lastLineOf } from "./code_lines";
import { pathOf } from "./document_file";
import { isEligible } from "./document_filter";
import { editorInFront } from "./editor_in_front";
import { enclosingBlock } from "./enclosing_block";

/** The code a command is about. */
export interface CodeContext {
  document: vscode.TextDocument;
  /** Whole lines, without the line end of the last one. */
  range: vscode.Range;
  /** Relative to the workspace, `/`-separated. */
  path: string;
  languageId: string;
  code: string;
  /** What VS Code reports for these lines, each with its line number within `code`, from 1. */
  problems: string[];
}

/**
 * What is selected, else the innermost function, method or class around the cursor, else the block of lines around it.
 * Tells the user and resolves with undefined when no editor is open or its document must not be read.
 */
export async function codeContext(): Promise<CodeContext | undefined> {
  const editor = editorInFront();
  if (!editor) {
    void vscode.window.showInformationMessage("Open a file and put the cursor into the code first.");
    return undefined;
  }
  const { document, selection } = editor;
  if (!isEligible(document)) {
    void vscode.window.showInformationMessage(
      "NMOS does not read this document: the workspace is not trusted, or the document is excluded from prompts.",
    );
    return undefined;
  }
  const range = wholeLines(document, selection.isEmpty ? await enclosingRange(document, selection.active) : selection);
  return {
    document,
    range,
    path: pathOf(document),
    languageId: document.languageId,
    code: document.getText(range),
    problems: vscode.languages
      .getDiagnostics(document.uri)
      .filter((problem) => problem.range.intersection(range) !== undefined)
      .map((problem) => `line ${Math.max(1, problem.range.start.line - range.start.line + 1)}: ${problem.message}`),
  };
}

function wholeLines(document: vscode.TextDocument, range: vscode.Range): vscode.Range {
  const last = lastLineOf(range);
  return new vscode.Range(range.start.line, 0, last, document.lineAt(last).text.length);
}

async function enclosingRange(document: vscode.TextDocument, position: vscode.Position): Promise<vscode.Range> {
  const symbols = await vscode.commands.executeCommand("vscode.executeDocumentSymbolProvider", document.uri);
  const symbol = innermost(symbols, position);
  if (symbol) return symbol;
  const { first, last } = enclosingBlock(document.getText().split(/\r?\n/), position.line);
  return document.lineAt(first).range.union(document.lineAt(last).range);
}

const wanted = new Set([
  vscode.SymbolKind.Function,
  vscode.SymbolKind.Method,
  vscode.SymbolKind.Constructor,
  vscode.SymbolKind.Class,
  vscode.SymbolKind.Interface,
  vscode.SymbolKind.Struct,
  vscode.SymbolKind.Enum,
]);

/** Providers that answer with a flat list tell no full ranges; only trees are used. */
function innermost(symbols: unknown, position: vscode.Position): vscode.Range | undefined {
  if (!Array.isArray(symbols)) return undefined;
  for (const symbol of symbols as unknown[]) {
    if (!isDocumentSymbol(symbol) || !symbol.range.contains(position)) continue;
    const inner = innermost(symbol.children, position);
    if (inner) return inner;
    if (wanted.has(symbol.kind)) return symbol.range;
  }
  return undefined;
}

function isDocumentSymbol(symbol: unknown): symbol is vscode.DocumentSymbol {
  return typeof symbol === "object" && symbol !== null && "range" in symbol && "children" in symbol;
}
