/** Cuts a Git diff to what a prompt may and can hold. */

/** With the prefixes of any setting of `diff.mnemonicPrefix` and `diff.noprefix`, when both names are the same. */
const heading = /^diff --git (?:"(?:[a-z]\/)?(.+)" "(?:[a-z]\/)?\1"|(?:[a-z]\/)?(.+) (?:[a-z]\/)?\2)$/;
const moved = /^(?:rename|copy) (?:from|to) "?(.+?)"?$/gm;

interface FileDiff {
  /** Paths before and after the change, relative to the repository; none when they cannot be told. */
  paths: string[];
  text: string;
}

/** One part for each file. */
export function splitDiff(diff: string): FileDiff[] {
  return diff
    .split(/^(?=diff --git )/m)
    .filter((text) => text.startsWith("diff --git "))
    .map((text) => ({ paths: pathsOf(text), text }));
}

function pathsOf(text: string): string[] {
  const same = heading.exec(text.split("\n", 1)[0] ?? "");
  const path = same?.[1] ?? same?.[2];
  if (path !== undefined) return [path];
  const header = text.split(/^@@ /m, 1)[0] ?? "";
  return [...header.matchAll(moved)].map((match) => match[1] ?? "");
}

/**
 * The diff without the contents of files that must not be read, and no longer than `longest` characters: long files
 * share what short ones leave, so that every changed file is at least named.
 */
export function promptDiff(diff: string, isPrivate: (path: string) => boolean, longest: number): string {
  const files = splitDiff(diff).map(({ paths, text }) =>
    paths.length === 0 || paths.some(isPrivate) ? `${text.split("\n", 1)[0] ?? ""}\n(contents left out)\n` : text,
  );
  let room = longest;
  const byLength = files.map((text, index) => ({ text, index })).sort((a, b) => a.text.length - b.text.length);
  const cut = new Map<number, string>();
  for (const [position, { text, index }] of byLength.entries()) {
    const share = Math.floor(room / (byLength.length - position));
    const kept = text.length <= share ? text : cutAtLine(text, share);
    room -= kept.length;
    cut.set(index, kept);
  }
  return files.map((_, index) => cut.get(index) ?? "").join("");
}

const ellipsis = "(the rest is left out)\n";

function cutAtLine(text: string, length: number): string {
  const firstLine = text.indexOf("\n") + 1;
  const end = text.lastIndexOf("\n", length - ellipsis.length) + 1;
  return text.slice(0, Math.max(end, firstLine)) + ellipsis;
}
