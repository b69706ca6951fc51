import { missingClosers, withoutClosersAhead } from "./brackets";

/** Suggestions kept; each takes a few kilobytes with the text around it. */
const capacity = 100;

/** Characters around the cursor that must be the same; what is farther away hardly changes a suggestion. */
const reachBefore = 2000;
const reachAfter = 500;

interface Known {
  path: string;
  /** Characters before the cursor, of which `before` are the last. */
  offset: number;
  before: string;
  after: string;
  text: string;
}

/**
 * Suggestions already computed. Serves what is left of one while the user types through it, also when the editor closes
 * the brackets typed, after a part of it was accepted, and after deleting back to where it was shown. Least recently
 * used ones go first.
 */
export class SuggestionCache {
  /** Most recently used last. */
  private known: Known[] = [];

  /** What is left of a known suggestion at this place, empty when it was known to be none; undefined when unknown. */
  find(path: string, prefix: string, suffix: string): string | undefined {
    const before = plainLineEnds(prefix);
    const after = head(suffix, reachAfter);
    for (const entry of this.known.toReversed()) {
      const rest = entry.path === path ? restOf(entry, before, after) : undefined;
      if (rest === undefined) continue;
      this.known = [...this.known.filter((other) => other !== entry), entry];
      return rest;
    }
    return undefined;
  }

  /** Remembers the suggestion (empty: that there is none) for a place. */
  add(path: string, prefix: string, suffix: string, text: string): void {
    const whole = plainLineEnds(prefix);
    const entry: Known = {
      path,
      offset: whole.length,
      before: detached(whole.slice(-reachBefore)),
      after: detached(head(suffix, reachAfter)),
      text,
    };
    const others = this.known.filter((other) => !isSamePlace(other, entry));
    this.known = [...others.slice(-(capacity - 1)), entry];
  }
}

function restOf({ offset, before, after, text }: Known, prefix: string, suffix: string): string | undefined {
  if (prefix.length < offset || !prefix.startsWith(before, offset - before.length)) return undefined;
  const typed = prefix.slice(offset);
  if (typed === "" && suffix === after) return text;
  // Typed to its end there is nothing left to show, but more may follow, so that is not "known to be none".
  if (!text.startsWith(typed) || text.length === typed.length) return undefined;
  const rest = text.slice(typed.length);
  if (suffix === after) return rest;
  const closed = missingClosers(typed);
  for (let length = closed.length; length > 0; --length) {
    const ahead = closed.slice(0, length);
    if (suffix === head(ahead + after, reachAfter)) return withoutClosersAhead(typed, rest, ahead) || undefined;
  }
  return undefined;
}

function isSamePlace(a: Known, b: Known): boolean {
  return a.path === b.path && a.offset === b.offset && a.before === b.before && a.after === b.after;
}

function head(suffix: string, length: number): string {
  // A line end cut in two would look like another text.
  return plainLineEnds(suffix.slice(0, length * 2)).slice(0, length);
}

/** Suggestions have plain line ends, and what of them was accepted has the document's. */
function plainLineEnds(text: string): string {
  return text.replaceAll("\r\n", "\n");
}

/** A copy: a slice would keep the whole document it was taken from in memory. */
function detached(text: string): string {
  return Buffer.from(text, "utf16le").toString("utf16le");
}
