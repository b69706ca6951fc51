/** Line ends behind which a block follows in any language with blocks. */
const opener = /\{\s*$|=>\s*$|->\s*$|\b(?:do|then|else|begin|try)\s*$/;

/** Line ends behind which something stands on the next line. */
const continued = /[([]\s*$/;

/** Languages whose blocks begin behind a colon. */
const colonBlocks = new Set(["python", "gdscript", "nim", "coffeescript"]);

/** Languages without blocks of code: a suggestion ends with its line. */
const proseLanguages = new Set([
  "plaintext",
  "markdown",
  "latex",
  "restructuredtext",
  "git-commit",
  "json",
  "jsonc",
  "csv",
  "log",
]);

const hashComments = new Set(
  "python ruby shellscript powershell perl r elixir julia yaml toml dockerfile makefile cmake nim gdscript coffeescript".split(
    " ",
  ),
);
const dashComments = new Set(["sql", "lua", "haskell", "ada", "elm"]);

/**
 * Whether a suggestion at this place should go over several lines: when nothing but closing brackets follows on the
 * line, and the cursor stands right behind the opening of a block, or on an empty line below one or below a comment.
 */
export function wantsSeveralLines(prefix: string, suffix: string, languageId: string): boolean {
  if (proseLanguages.has(languageId)) return false;
  const after = suffix.split("\n", 1)[0] ?? "";
  if (!/^[\s)\]};,]*$/.test(after)) return false;
  const lines = prefix.split("\n");
  const current = lines.at(-1) ?? "";
  if (current.trim() !== "") return opensBlock(current, languageId) && !/^\s*[)\]]/.test(after);
  const above = lines.findLast((line) => line.trim() !== "");
  if (above === undefined) return false;
  return opensBlock(above, languageId) || continued.test(above) || isComment(above, languageId);
}

function opensBlock(line: string, languageId: string): boolean {
  if (isComment(line, languageId)) return false;
  return opener.test(line) || (colonBlocks.has(languageId) && /:\s*$/.test(line));
}

function isComment(line: string, languageId: string): boolean {
  if (hashComments.has(languageId)) return /^\s*#(?!!)|(?:"""|''')\s*$/.test(line);
  if (dashComments.has(languageId)) return /^\s*--/.test(line);
  return /^\s*(?:\/\/|\/\*|\*\s|\*\/|<!--)|\*\/\s*$/.test(line);
}
