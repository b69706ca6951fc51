/** The blanks that a line begins with. */
export function indentation(line: string): string {
  return /^\s*/.exec(line)?.[0] ?? "";
}

interface Selected {
  readonly start: { readonly line: number };
  readonly end: { readonly line: number; readonly character: number };
}

/** The last line that a selection means: one that ends at the start of a line does not mean that line. */
export function lastLineOf({ start, end }: Selected): number {
  return end.character === 0 && end.line > start.line ? end.line - 1 : end.line;
}
