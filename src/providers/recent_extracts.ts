import type { Extract } from "../shared/completion";

/** Lines of an extract on each side of where the user was. */
const linesAround = 16;

/** Longest extract, in characters. */
const longest = 2_000;

/** Files that are remembered. */
const capacity = 32;

/**
 * Short extracts of files the user was in, one a file. They are taken when the user leaves the file, not while they type
 * in it, so that the prompt stays the same from keystroke to keystroke.
 *
 * Neither the windows of other files that share most identifiers with the text around the cursor nor the declarations of what
 * is named there are added: with a 0.5B model they completed no more lines exactly (`npm run bench -- context`: 52 of 98 with the
 * former and 51 without, 23 of 49 with the latter and 25 without), and both change the beginning of the prompt, which is then
 * computed anew. Nor is the clipboard: VS Code tells of no change of it, so that it would have to be read at every pause, with
 * whatever other programs have put there, such as passwords; and a paste is there as text before the next suggestion.
 */
export class RecentExtracts {
  /** By the document's key, least recently left first. */
  private readonly extracts = new Map<string, { file: string; extract: Extract }>();

  /** @param file where the document is kept; the cells of a notebook share one. */
  remember(key: string, file: string, extract: Extract): void {
    this.extracts.delete(key);
    if (extract.text.trim() === "") return;
    this.extracts.set(key, { file, extract });
    const oldest = this.extracts.keys().next();
    if (this.extracts.size > capacity && !oldest.done) this.extracts.delete(oldest.value);
  }

  forget(file: string): void {
    for (const [key, known] of this.extracts) if (known.file === file) this.extracts.delete(key);
  }

  /** The last `count` extracts of files that `allowed` lets through, the most recent last: next to the code being written. */
  recent(count: number, allowed: (file: string) => boolean): Extract[] {
    if (count === 0) return [];
    return [...this.extracts.values()]
      .filter(({ file }) => allowed(file))
      .slice(-count)
      .map(({ extract }) => extract);
  }
}

/** The whole lines around `line` (0-based), cut to the longest extract. */
export function extractAround(lineCount: number, textOf: (line: number) => string, line: number): string {
  const middle = Math.min(line, lineCount - 1);
  const kept: string[] = [];
  let length = 0;
  for (let at = Math.max(0, middle - linesAround); at < Math.min(lineCount, middle + linesAround + 1); at++) {
    const text = textOf(at);
    length += text.length + 1;
    if (length > longest) break;
    kept.push(text);
  }
  return kept.join("\n");
}
