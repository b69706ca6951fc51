const closerOf: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };
const quotes = new Set(['"', "'", "`"]);

/** Brackets and quotes that an editor puts behind the cursor by itself, and what may stand between them. */
const closersAtStart = /^[)\]}"'`]+/;

/** The closing brackets and quotes a text begins with. */
export function leadingClosers(text: string): string {
  return closersAtStart.exec(text)?.[0] ?? "";
}

/** The closers, innermost first, that a line still needs at its end: `foo(["` needs `"])`. */
export function missingClosers(line: string): string {
  return scan(line, "").open;
}

/**
 * Cuts `text` in front of the closer that stands behind the cursor already. `line` is the line before the cursor,
 * `ahead` the closers behind it: `foo(` and `a, b);` before `)` give `a, b`, but `foo(bar(` and `a)` before `)` keep
 * the bracket, because one of the two behind `foo(bar(` is still missing.
 */
export function withoutClosersAhead(line: string, text: string, ahead: string): string {
  if (ahead === "") return text;
  const needed = missingClosers(line);
  const mayClose = Math.max(0, needed.length - ahead.length);
  const at = scan(text, needed).closed[mayClose];
  return at !== undefined && ahead.startsWith(text.charAt(at)) ? text.slice(0, at) : text;
}

interface Scan {
  /** Closers still needed at the end, innermost first. */
  open: string;
  /** Where the text closes what it has not opened itself. */
  closed: number[];
}

/** Reads brackets and strings, beginning behind text that needs the closers `outer`. */
function scan(text: string, outer: string): Scan {
  let open = outer;
  let depth = 0; // closers in front of `open` that belong to the text itself
  const closed: number[] = [];
  for (let index = 0; index < text.length; ++index) {
    const character = text.charAt(index);
    const innermost = open.charAt(0);
    if (character === "\\") index += 1;
    else if (character === innermost) {
      open = open.slice(1);
      if (depth > 0) depth -= 1;
      else closed.push(index);
    } else if (quotes.has(innermost)) continue;
    else if (closerOf[character] !== undefined || isQuote(text, index)) {
      open = (closerOf[character] ?? character) + open;
      depth += 1;
    } else if (depth === 0 && /[)\]}]/.test(character)) closed.push(index);
  }
  return { open, closed };
}

/** An apostrophe inside a word (`don't`, `&'a str`) quotes nothing. */
function isQuote(text: string, index: number): boolean {
  const character = text.charAt(index);
  if (!quotes.has(character)) return false;
  return character !== "'" || !/[\w&<]/.test(text.charAt(index - 1));
}
