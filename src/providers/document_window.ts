/** Characters on each side of the cursor that are sent; the engine host cuts them to its budget of tokens. */
export const windowReach = 48_000;

const step = windowReach / 2;

/**
 * The text on both sides of the cursor. In a long document the text before it begins at a multiple of half the reach (at
 * the next line start), so that it only grows at its end while the user types and the engine keeps what it has computed.
 */
export function windowAround(text: string, offset: number): { prefix: string; suffix: string } {
  const from = offset <= windowReach ? 0 : lineStartFrom(text, Math.floor((offset - step) / step) * step, offset);
  return { prefix: text.slice(from, offset), suffix: text.slice(offset, offset + windowReach) };
}

/** The first line start at or after `at`; `at` itself when no line begins before `limit`. */
function lineStartFrom(text: string, at: number, limit: number): number {
  const newline = text.indexOf("\n", at - 1);
  return newline < 0 || newline >= limit ? at : newline + 1;
}
