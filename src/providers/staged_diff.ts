/** Cuts a Git diff to what a prompt may and can hold. */

const heading = /^diff --git "?a\/(.+?)"? "?b\/(.+?)"?$/;

interface FileDiff {
  /** Path after the change, relative to the repository. */
  path: string;
  text: string;
}

/** One part for each file. */
export function splitDiff(diff: string): FileDiff[] {
  return diff
    .split(/^(?=diff --git )/m)
    .map((text) => ({ path: heading.exec(text.split("\n", 1)[0] ?? "")?.[2] ?? "", text }))
    .filter(({ text }) => text.startsWith("diff --git "));
}

/**
 * The diff without the contents of files that must not be read, and no longer than `longest` characters: long files
 * share what short ones leave, so that every changed file is at least named.
 */
export function promptDiff(diff: string, isPrivate: (path: string) => boolean, longest: number): string {
  const files = splitDiff(diff).map(({ path, text }) =>
    isPrivate(path) ? `diff --git a/${path} b/${path}\n(contents left out)\n` : text,
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
