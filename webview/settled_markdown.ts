import MarkdownIt from "markdown-it";

/** Finds blocks only; their text is not looked into. */
const blocks = new MarkdownIt({ html: false });
blocks.core.ruler.disable(["inline", "linkify", "replacements", "smartquotes", "text_join"]);

/**
 * How much of a Markdown text that is still growing is final: all blocks of finished lines but the last one, which more
 * text can change. (Only a link definition further below could still change a block above it.)
 */
export function settledLength(text: string): number {
  const lines = text.slice(0, text.lastIndexOf("\n") + 1);
  const starts = blocks.parse(lines, {}).flatMap(({ level, map }) => (level === 0 && map ? [map[0]] : []));
  const line = starts.at(-1) ?? 0;
  let at = 0;
  for (let passed = 0; passed < line; passed++) at = text.indexOf("\n", at) + 1;
  return at;
}
