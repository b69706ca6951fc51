import { leadingClosers, missingClosers, withoutClosersAhead } from "./brackets";
import { plainLineEnds } from "./line_ends";
import { mostLines } from "./post_process";
import { restOf, type Suggestion } from "./suggestion";

/** Bytes that the texts of all known suggestions may take: some two hundred of them. */
const capacity = 1 << 20;

/** Characters around the cursor that must be the same; what is farther away hardly changes a suggestion. */
const reachBefore = 2000;
const reachAfter = 500;

interface Known {
  path: string;
  /** The last characters before the cursor; fewer than the reach are all there were. */
  before: string;
  /** Characters of the cursor's line before it. */
  column: number;
  /** The first ones behind it. */
  after: string;
  suggestion: Suggestion;
}

/**
 * Suggestions already computed, by the text on both sides of the cursor wherever in the document that is. Serves what is
 * left of one while the user types through it, also when the editor closes the brackets typed, after a part of it was
 * accepted, and after deleting or undoing back to any place from where it was shown on. Before that place it is not served:
 * who deletes that far is about to type something else. The least recently used ones go first.
 *
 * A list, because its length is bounded by the bytes: going through a full one was measured to take 7 to 75 microseconds,
 * so that a trie over the texts before the cursor would save nothing that anybody notices.
 */
export class SuggestionCache {
  /** Most recently used last. */
  private known: Known[] = [];
  private bytes = 0;

  /** What is left of a known suggestion at this place, empty when it was known to be none; undefined when unknown. */
  find(path: string, prefix: string, suffix: string): Suggestion | undefined {
    const before = plainLineEnds(prefix);
    const after = head(suffix);
    const lines = lastLineStarts(before);
    for (let index = this.known.length - 1; index >= 0; --index) {
      const entry = this.known[index];
      if (entry?.path !== path) continue;
      const rest = restAt(entry, before, after, lines);
      if (rest === undefined) continue;
      this.known.push(...this.known.splice(index, 1));
      return restOf(entry.suggestion, rest);
    }
    return undefined;
  }

  /** Remembers the suggestion (empty: that there is none) for a place. */
  add(path: string, prefix: string, suffix: string, suggestion: Suggestion): void {
    const entry: Known = {
      path,
      before: detached(plainLineEnds(prefix.slice(-2 * reachBefore)).slice(-reachBefore)),
      column: prefix.length - lineStart(prefix),
      after: detached(head(suffix)),
      suggestion,
    };
    const same = this.known.findIndex((other) => isSamePlace(other, entry));
    if (same >= 0) this.remove(same);
    this.known.push(entry);
    this.bytes += bytesOf(entry);
    while (this.bytes > capacity && this.known.length > 1) this.remove(0);
  }

  private remove(index: number): void {
    for (const entry of this.known.splice(index, 1)) this.bytes -= bytesOf(entry);
  }
}

/** `lines`: where the last lines of the prefix begin, the last one first. */
function restAt(
  { before, column, after, suggestion: { text } }: Known,
  prefix: string,
  suffix: string,
  lines: readonly number[],
): string | undefined {
  const closers = closersInserted(after, suffix);
  if (closers === undefined) return undefined;
  for (const line of lines) {
    const place = line + column;
    const typed = prefix.slice(place);
    if (typed.length > text.length) return undefined;
    if (place > prefix.length || !text.startsWith(typed) || !isBefore(before, prefix, place)) continue;
    if (typed === "" && closers === "") return text;
    // Typed to its end there is nothing left to show, but more may follow, so that is not "known to be none".
    const rest = text.slice(typed.length);
    if (rest === "" || closers === "") return rest || undefined;
    if (missingClosers(typed).startsWith(closers)) return withoutClosersAhead(typed, rest, closers) || undefined;
  }
  return undefined;
}

/** Whether the text before a place is still the same; where it was all there was, it has to be still. */
function isBefore(before: string, prefix: string, place: number): boolean {
  const start = place - before.length;
  return (before.length < reachBefore ? start === 0 : start >= 0) && prefix.startsWith(before, start);
}

function lineStart(text: string): number {
  return text.lastIndexOf("\n") + 1;
}

/** The last one first, as many as a suggestion has lines at most. */
function lastLineStarts(text: string): number[] {
  const starts = [lineStart(text)];
  for (let start = starts[0] ?? 0; start > 0 && starts.length <= mostLines; starts.push(start)) {
    start = lineStart(text.slice(0, start - 1));
  }
  return starts;
}

/** What the editor has put in front of the text behind the cursor; undefined when that is another text now. */
function closersInserted(after: string, suffix: string): string | undefined {
  if (suffix === after) return "";
  for (let closers = leadingClosers(suffix); closers !== ""; closers = closers.slice(0, -1)) {
    if (suffix === (closers + after).slice(0, reachAfter)) return closers;
  }
  return undefined;
}

function isSamePlace(a: Known, b: Known): boolean {
  return a.path === b.path && a.before === b.before && a.after === b.after;
}

function bytesOf({ path, before, after, suggestion }: Known): number {
  return 2 * (path.length + before.length + after.length + suggestion.text.length);
}

function head(suffix: string): string {
  // A line end cut in two would look like another text.
  return plainLineEnds(suffix.slice(0, reachAfter * 2)).slice(0, reachAfter);
}

/** A copy: a slice would keep the whole document it was taken from in memory. */
function detached(text: string): string {
  return Buffer.from(text, "utf16le").toString("utf16le");
}
