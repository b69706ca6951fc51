/** Pure text work behind edits that are proposed by the model and accepted by the user. */
import { indentation } from "./code_lines";

function firstLineWithText(text: string): string | undefined {
  return text.split("\n").find((line) => line.trim() !== "");
}

/**
 * Fits generated code into the place of the original: line ends become `\n`, a block that the model moved to the left is
 * moved back to the original's indentation, and it ends with a line end exactly when the original does.
 */
export function fitReplacement(original: string, generated: string): string {
  const lines = generated
    .replaceAll(/\r\n?/g, "\n")
    .replace(/^(?:[ \t]*\n)+/, "")
    .trimEnd();
  const wanted = indentation(firstLineWithText(original) ?? "");
  const got = indentation(firstLineWithText(lines) ?? "");
  const missing = wanted.startsWith(got) ? wanted.slice(got.length) : "";
  const indented = lines
    .split("\n")
    .map((line) => (line === "" ? line : missing + line))
    .join("\n");
  return original.endsWith("\n") && indented !== "" ? `${indented}\n` : indented;
}

/** A span of a text in characters, end exclusive. */
export interface Span {
  start: number;
  end: number;
}

/**
 * Where the original, which is whole lines, is in a document that may have changed since: at `start`, or at the one
 * place that holds it. Undefined when it is gone or there are several.
 */
export function relocate(text: string, original: string, start: number): Span | undefined {
  if (original === "") return text === "" ? { start: 0, end: 0 } : undefined;
  const isThere = (at: number): boolean => text.startsWith(original, at) && isWholeLines(text, at, original.length);
  if (isThere(start)) return { start, end: start + original.length };
  const places: number[] = [];
  for (let at = text.indexOf(original); at >= 0; at = text.indexOf(original, at + 1)) if (isThere(at)) places.push(at);
  const [only, another] = places;
  return only === undefined || another !== undefined ? undefined : { start: only, end: only + original.length };
}

function isWholeLines(text: string, start: number, length: number): boolean {
  const next = text.charAt(start + length);
  return (start === 0 || text.charAt(start - 1) === "\n") && (next === "" || next === "\n" || next === "\r");
}

/** A change of a document: the span that was replaced, before the change, and what stands there now. */
export interface TextChange {
  rangeOffset: number;
  rangeLength: number;
  text: string;
}

/** Where a span that began at `start` begins after changes made at once. One that reaches into it moves nothing. */
export function shiftedStart(start: number, changes: readonly TextChange[]): number {
  return changes
    .filter(({ rangeOffset, rangeLength }) => rangeOffset + rangeLength <= start)
    .reduce((shifted, { rangeLength, text }) => shifted + text.length - rangeLength, start);
}

export function replaceSpan(text: string, { start, end }: Span, replacement: string): string {
  return text.slice(0, start) + replacement + text.slice(end);
}
