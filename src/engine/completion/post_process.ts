import { leadingClosers, withoutClosersAhead } from "./brackets";

/** Where a suggestion stands. */
export interface SuggestionPlace {
  prefix: string;
  suffix: string;
  severalLines: boolean;
}

/** Longest suggestion, in lines: more is rarely read before it is accepted. */
export const mostLines = 16;

/** A line as short as this is repeated in correct code all the time. */
const shortLine = 6;

/** Lines that may repeat as a group. */
const longestCircle = 4;

/** A control token that came as text, such as `<|endoftext|>`; vocabularies differ in the bars. */
const leakedToken = /<[|\uFF5C][\w\u2581-]+[|\uFF5C]>/;

/** The beginning of one, where the text was cut off. */
const leakedBeginning = /<[|\uFF5C][\w\u2581-]+[|\uFF5C]?$/;

/** Closes a block and may stand at the indentation of the line that opened it. */
const closer = /^[)\]}]|^(?:end|fi|done|esac)\b/;

/** Turns what the model generated into what is worth showing at the cursor; empty when nothing is. */
export function postProcess(generated: string, place: SuggestionPlace): string {
  let text = withoutControlTokens(generated).replaceAll("\r\n", "\n");
  text = place.severalLines ? withinBlock(text, place) : (text.split("\n", 1)[0] ?? "");
  text = withoutRestOfLine(text, place);
  text = withoutLinesBelow(text, place.suffix);
  text = withoutRepetition(text, place.prefix);
  text = withoutTrailingBlanks(text, place.suffix);
  return text.trim() === "" ? "" : text;
}

/** Whether nothing that may still come would be shown, so that decoding can end. */
export function isComplete(generated: string, place: SuggestionPlace): boolean {
  if (leakedToken.test(generated)) return true;
  if (!place.severalLines && generated.includes("\n")) return true;
  if (cutAtClosers(generated, place) !== generated) return true;
  const whole = generated.slice(0, generated.lastIndexOf("\n") + 1);
  if (whole === "") return false;
  return withinBlock(whole, place) !== whole || withoutRepetition(whole, place.prefix) !== whole;
}

function withoutControlTokens(text: string): string {
  const at = (leakedToken.exec(text) ?? leakedBeginning.exec(text))?.index;
  return at === undefined ? text : text.slice(0, at);
}

/** The lines that belong to the block the cursor is in: at most one block is written, up to its end. */
function withinBlock(text: string, { prefix, suffix }: SuggestionPlace): string {
  const lines = text.split("\n");
  const upTo = (end: number): string => lines.slice(0, end).join("\n");
  const current = lastLine(prefix);
  // On an empty line the block is as deep as what is written there; behind an opener it is deeper.
  const onEmptyLine = current.trim() === "";
  const base = onEmptyLine ? depthOnEmptyLine(current, lines) : indentation(current);
  const next = linesBelow(suffix)[0];
  let deeper = false;
  for (const [index, line] of lines.entries()) {
    if (index === 0) continue;
    if (index >= mostLines) return upTo(mostLines);
    const blankAbove = lines[index - 1]?.trim() === "";
    const unfinished = index === lines.length - 1;
    if (line.trim() === "") {
      if (blankAbove && index > 1 && !unfinished) return upTo(index - 1);
      continue;
    }
    if (!unfinished && line.trimEnd() === next) return upTo(index);
    const depth = indentation(line);
    if (onEmptyLine ? depth < base : depth <= base) {
      const closes = !onEmptyLine && depth === base && closer.test(line.trim());
      return upTo(closes ? index + 1 : index);
    }
    if (depth > base) deeper = true;
    else if (deeper && blankAbove) return upTo(index - 1);
  }
  return text;
}

function depthOnEmptyLine(current: string, generated: readonly string[]): number {
  const [first = "", ...others] = generated;
  const written = first.trim() === "" ? (others.find((line) => line.trim() !== "") ?? "") : current + first;
  return Math.max(indentation(current), indentation(written));
}

/** The lines with text below the cursor's line. */
function linesBelow(suffix: string): string[] {
  return suffix
    .split("\n")
    .slice(1)
    .map((line) => line.trimEnd())
    .filter((line) => line !== "");
}

function indentation(line: string): number {
  return /^[^\S\n]*/.exec(line)?.[0].replaceAll("\t", "    ").length ?? 0;
}

/** Cuts what stands behind the cursor on its line already. */
function withoutRestOfLine(text: string, place: SuggestionPlace): string {
  const rest = restOfLine(place.suffix).trimEnd();
  if (rest === "") return text;
  const cut = cutAtClosers(text, place);
  if (cut !== text) return cut;
  // The whole rest once more, perhaps with a little behind it: "b, c);" before ", c)".
  const at = text.lastIndexOf(rest);
  const whole = at >= 0 && leadingClosers(rest) === "" && !/\w\w/.test(text.charAt(at - 1) + rest.charAt(0));
  if (whole && /^[\s;,)\]}]*$/.test(text.slice(at + rest.length))) return text.slice(0, at);
  const separators = /^[,;:.\s]+/.exec(rest)?.[0] ?? "";
  for (let length = separators.length; length > 0; --length) {
    if (text.endsWith(separators.slice(0, length))) return text.slice(0, text.length - length);
  }
  return text;
}

function cutAtClosers(text: string, { prefix, suffix }: SuggestionPlace): string {
  return withoutClosersAhead(lastLine(prefix), text, leadingClosers(suffix));
}

/** Cuts lines at the end that stand below the cursor already, and everything from a longer line that does. */
function withoutLinesBelow(text: string, suffix: string): string {
  if (!isBlank(restOfLine(suffix))) return text;
  const below = linesBelow(suffix);
  const next = below[0];
  if (next === undefined) return text;
  const lines = text.trimEnd().split("\n");
  if (next.trim().length >= shortLine) {
    const repeated = lines.findIndex((line) => line.trim() === next.trim());
    if (repeated >= 0) return lines.slice(0, repeated).join("\n");
  }
  for (let count = Math.min(lines.length - 1, below.length); count > 0; --count) {
    const end = lines.slice(-count);
    if (end.every((line, index) => line.trimEnd() === below[index])) return lines.slice(0, -count).join("\n");
  }
  return text;
}

/** Cuts where the model goes round in circles. */
function withoutRepetition(text: string, prefix: string): string {
  const above = prefix
    .split("\n")
    .slice(0, -1)
    .findLast((line) => line.trim() !== "")
    ?.trim();
  const lines = text.split("\n");
  const first = (lastLine(prefix) + (lines[0] ?? "")).trim();
  if (first.length > shortLine && first === above) return "";
  const trimmed = [first, ...lines.slice(1).map((line) => line.trim())];
  for (let index = 1; index < lines.length; ++index) {
    for (let length = 1; length <= Math.min(index, longestCircle); ++length) {
      const again = trimmed.slice(index, index + length);
      const before = trimmed.slice(index - length, index);
      const same = again.length === length && again.every((line, at) => line === before[at]);
      if (same && again.join("").length > shortLine) return lines.slice(0, index).join("\n");
    }
  }
  return text;
}

/** Blanks at the ends of lines go; those in front of what follows the cursor are needed. */
function withoutTrailingBlanks(text: string, suffix: string): string {
  const cleaned = text.replace(/[^\S\n]+(?=\n)/g, "");
  return isBlank(restOfLine(suffix)) ? cleaned.trimEnd() : cleaned;
}

function restOfLine(suffix: string): string {
  return suffix.split("\n", 1)[0] ?? "";
}

function isBlank(text: string): boolean {
  return text.trim() === "";
}

function lastLine(text: string): string {
  return text.slice(text.lastIndexOf("\n") + 1);
}
