/** Pure text work behind edits that are proposed by the model and accepted by the user. */

function indentation(line: string): string {
  return /^[ \t]*/.exec(line)?.[0] ?? "";
}

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
 * Where the original is in a document that may have changed since: still at its place, or moved as the one place that
 * holds it. Undefined when it is gone or there are several.
 */
export function relocate(text: string, original: string, start: number): Span | undefined {
  const at = text.startsWith(original, start) ? start : text.indexOf(original);
  if (at < 0 || original === "") return text.length === 0 && original === "" ? { start: 0, end: 0 } : undefined;
  if (at !== start && text.includes(original, at + 1)) return undefined;
  return { start: at, end: at + original.length };
}

export function replaceSpan(text: string, { start, end }: Span, replacement: string): string {
  return text.slice(0, start) + replacement + text.slice(end);
}
