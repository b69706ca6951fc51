/** Where a suggestion stands. */
export interface SuggestionPlace {
  prefix: string;
  suffix: string;
  severalLines: boolean;
}

/** Longest suggestion, in lines: more is rarely read before it is accepted. */
const mostLines = 16;

/** A line as short as this is repeated in correct code all the time. */
const shortLine = 6;

const leakedToken = /<\|[\w-]*\|?>?|<\/?s>|<(?:PRE|SUF|MID|EOT)>/;

/** Closes a block and may stand at the indentation of the line that opened it. */
const closer = /^[)\]}]|^(?:end|fi|done|esac)\b/;

/** Turns what the model generated into what is worth showing at the cursor; empty when nothing is. */
export function postProcess(generated: string, place: SuggestionPlace): string {
  let text = generated.replaceAll("\r\n", "\n");
  const leak = leakedToken.exec(text);
  if (leak) text = text.slice(0, leak.index);
  text = place.severalLines ? withinBlock(text, place) : (text.split("\n", 1)[0] ?? "");
  text = withoutSuffix(text, place.suffix);
  text = withoutRepetition(text, place.prefix);
  text = text.replace(/[^\S\n]+(?=\n|$)/g, "").replace(/\n+$/, "");
  return text.trim() === "" ? "" : text;
}

/** Whether nothing that may still come would be shown, so that decoding can end. */
export function isComplete(generated: string, place: SuggestionPlace): boolean {
  if (leakedToken.exec(generated)?.[0].endsWith(">")) return true;
  if (!place.severalLines) return generated.includes("\n");
  const whole = generated.slice(0, generated.lastIndexOf("\n") + 1);
  return withinBlock(whole, place) !== whole || whole.split("\n").length > mostLines;
}

/** The lines that belong to the block the cursor is in. */
function withinBlock(text: string, { prefix, suffix }: SuggestionPlace): string {
  const lines = text.split("\n");
  const current = prefix.slice(prefix.lastIndexOf("\n") + 1);
  const base = indentation(current);
  // On an empty line its own indentation is the block's; behind an opener the block is deeper.
  const onEmptyLine = current.trim() === "";
  const next = suffix
    .split("\n")
    .slice(1)
    .find((line) => line.trim() !== "");
  for (const [index, line] of lines.entries()) {
    if (index === 0) continue;
    if (index >= mostLines) return lines.slice(0, mostLines).join("\n");
    if (line.trim() === "") {
      const twoBlank = lines[index - 1]?.trim() === "" && index + 1 < lines.length;
      if (twoBlank) return lines.slice(0, index - 1).join("\n");
      continue;
    }
    // The last line may still grow.
    const unfinished = index === lines.length - 1;
    if (!unfinished && next !== undefined && line.trimEnd() === next.trimEnd()) return lines.slice(0, index).join("\n");
    const depth = indentation(line);
    if (onEmptyLine ? depth < base : depth <= base) {
      const closes = closer.test(line.trim()) && depth === base;
      return lines.slice(0, closes && !onEmptyLine ? index + 1 : index).join("\n");
    }
  }
  return text;
}

function indentation(line: string): number {
  return /^[^\S\n]*/.exec(line)?.[0].replaceAll("\t", "    ").length ?? 0;
}

/** Cuts what stands behind the cursor already. */
function withoutSuffix(text: string, suffix: string): string {
  const rest = (suffix.split("\n", 1)[0] ?? "").trimEnd();
  if (rest.trim() !== "") {
    const at = text.lastIndexOf(rest);
    if (at >= 0 && text.slice(at + rest.length).trim() === "") return text.slice(0, at);
    return withoutOverlap(text, rest);
  }
  const next = suffix
    .split("\n")
    .find((line) => line.trim() !== "")
    ?.trim();
  if (next === undefined || next.length < shortLine) return text;
  const lines = text.split("\n");
  const repeated = lines.findIndex((line) => line.trim() === next);
  return repeated >= 0 ? lines.slice(0, repeated).join("\n") : text;
}

/** "foo(a, b)" before "))" keeps one bracket: the longest end of `text` that begins `rest` goes. */
function withoutOverlap(text: string, rest: string): string {
  for (let length = Math.min(text.length, rest.length); length > 0; --length) {
    const overlap = rest.slice(0, length);
    if (text.endsWith(overlap) && /^[^\w\s]+$/.test(overlap)) return text.slice(0, text.length - length);
  }
  return text;
}

/** Cuts where the model goes round in circles. */
function withoutRepetition(text: string, prefix: string): string {
  const before = prefix.split("\n");
  const current = before.at(-1) ?? "";
  const above =
    before
      .slice(0, -1)
      .findLast((line) => line.trim() !== "")
      ?.trim() ?? "";
  const lines = text.split("\n");
  const first = (current + (lines[0] ?? "")).trim();
  if (first.length > shortLine && first === above) return "";
  for (let index = 1; index + 1 < lines.length; ++index) {
    const line = lines[index]?.trim() ?? "";
    if (line.length > shortLine && line === lines[index - 1]?.trim()) return lines.slice(0, index).join("\n");
  }
  return text;
}
