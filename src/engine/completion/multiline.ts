/** Line ends after which a block follows. */
const opener = /[{([:]\s*$|=>\s*$|->\s*$|\b(?:do|then|else|begin)\s*$/;

/** A comment that announces code. */
const comment = /^\s*(?:\/\/|#|--|\*\/|"""|''')/;

/**
 * Whether a suggestion at this place should go over several lines: when nothing but closing brackets follows on the
 * line, and the cursor stands on an empty line below an opener or a comment, or right behind an opener.
 */
export function wantsSeveralLines(prefix: string, suffix: string): boolean {
  const after = suffix.split("\n", 1)[0] ?? "";
  if (!/^[\s)\]};,]*$/.test(after)) return false;
  const lines = prefix.split("\n");
  const current = lines.at(-1) ?? "";
  if (current.trim() !== "") return opener.test(current) && !/^[)\]]/.test(after.trim());
  const above = lines.slice(0, -1).findLast((line) => line.trim() !== "");
  if (above === undefined) return prefix.length > 0;
  return opener.test(above) || comment.test(above);
}
