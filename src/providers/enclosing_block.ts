import { indentation } from "./code_lines";

/** Lines, both inclusive and 0-based. */
export interface LineSpan {
  first: number;
  last: number;
}

/** A block longer than this is not taken whole. */
const longestBlock = 80;

/** Lines kept on each side of the cursor within a block that is too long. */
const linesAround = 20;

/** Goes on with, or closes, a block that began above at the same indentation. */
const continuation = /^\s*(?:[{)\]}]|end\b|else\b|elif\b|except\b|finally\b|catch\b|<\/)/;

/**
 * The top-level block around a line by indentation, for languages of which VS Code knows no symbols: from the nearest
 * line without indentation above to before the next one below.
 */
export function enclosingBlock(lines: readonly string[], line: number): LineSpan {
  const begins = (text: string): boolean => text.trim() !== "" && indentation(text) === "" && !continuation.test(text);
  let first = line;
  while (first > 0 && !begins(lines[first] ?? "")) first--;
  let last = line;
  while (last + 1 < lines.length && !begins(lines[last + 1] ?? "")) last++;
  while (last > line && (lines[last] ?? "").trim() === "") last--;
  if (last - first < longestBlock) return { first, last };
  return { first: Math.max(first, line - linesAround), last: Math.min(last, line + linesAround) };
}
