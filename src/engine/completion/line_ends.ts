/** Models are trained on text with plain line ends, and suggestions have them; editors put back those of the document. */
export function plainLineEnds(text: string): string {
  return text.replaceAll("\r\n", "\n");
}

/** The place with them on both sides of the cursor. */
export function withPlainLineEnds<T extends { prefix: string; suffix: string }>(place: T): T {
  return { ...place, prefix: plainLineEnds(place.prefix), suffix: plainLineEnds(place.suffix) };
}
