import { indentation } from "../code_lines";

/** Lines to replace (both inclusive, 0-based) and what to put there. */
export interface CodePlacement {
  first: number;
  last: number;
  text: string;
}

/** A block this close to the whole file in length, with the same first line, replaces it. */
const wholeFileShare = 0.6;

/**
 * Where a code block of an answer belongs when nothing is selected: in the place of the declaration it begins with, in
 * the place of the whole file when it is a new version of it, else below the cursor. Pure.
 */
export function placeCode(lines: readonly string[], cursorLine: number, code: string): CodePlacement {
  const text = code.replace(/^(?:[^\S\n]*\n)+/, "").trimEnd();
  const wanted = text.split("\n");
  const opening = wanted[0]?.trim() ?? "";
  const firstWithText = lines.findIndex((line) => line.trim() !== "");
  if (firstWithText < 0) return { first: 0, last: Math.max(0, lines.length - 1), text };
  if (lines[firstWithText]?.trim() === opening && wanted.length >= lines.length * wholeFileShare) {
    const end = lines.at(-1) === "" ? lines.length - 2 : lines.length - 1;
    return { first: 0, last: Math.max(0, end), text };
  }
  const matches = lines.flatMap((line, index) => (sameDeclaration(line, opening) ? [index] : []));
  const nearest = matches.toSorted((a, b) => Math.abs(a - cursorLine) - Math.abs(b - cursorLine))[0];
  if (nearest !== undefined) return { first: nearest, last: endOfBlock(lines, nearest), text };
  return below(lines, cursorLine, text);
}

/** Below the line of the cursor; the replaced lines hold some text, so that the place can be found again. */
function below(lines: readonly string[], cursorLine: number, text: string): CodePlacement {
  const current = lines[cursorLine] ?? "";
  if (current.trim() !== "") return { first: cursorLine, last: cursorLine, text: `${current}\n${text}` };
  const above = lines[cursorLine - 1];
  if (above !== undefined) return { first: cursorLine - 1, last: cursorLine, text: `${above}\n${text}` };
  return { first: cursorLine, last: cursorLine + 1, text: `${text}\n${lines[cursorLine + 1] ?? ""}` };
}

const declares =
  /^(?:export\s+|default\s+|public\s+|private\s+|protected\s+|static\s+|async\s+|pub\s+|const\s+|let\s+|var\s+)*(?:def|function|fn|func|class|interface|struct|enum|type|impl|module)?\s*([A-Za-z_$][\w$]*)/;

/** Whether two lines declare the same name in the same way ("def add(a)" and "def add(a, b):"). */
function sameDeclaration(line: string, opening: string): boolean {
  const text = line.trim();
  if (text === "" || opening.length < 3) return false;
  if (text === opening) return true;
  const [theirs, ours] = [declares.exec(text), declares.exec(opening)];
  return theirs?.[0] !== undefined && theirs[0] === ours?.[0] && /\s/.test(theirs[0]);
}

/** The last line of the block that a line begins, by indentation; a closing bracket at its level belongs to it. */
function endOfBlock(lines: readonly string[], first: number): number {
  const depth = indentation(lines[first] ?? "").length;
  let last = first;
  for (let index = first + 1; index < lines.length; ++index) {
    const line = lines[index] ?? "";
    if (line.trim() === "") continue;
    const own = indentation(line).length;
    const deeper = own > depth;
    const closes = own === depth && /^[)\]}]|^end\b/.test(line.trim());
    if (!deeper && !closes) break;
    last = index;
    if (closes) break;
  }
  return last;
}
