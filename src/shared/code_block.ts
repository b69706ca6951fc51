/** Text as a Markdown code block. The fence is longer than any in the text, so that nothing in it ends the block. */
export function codeBlock(text: string, languageId: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`{3,}/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${languageId}\n${text}\n${fence}`;
}
