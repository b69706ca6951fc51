/** Models are trained on text with plain line ends, and suggestions have them; editors put back those of the document. */
export function plainLineEnds(text: string): string {
  return text.replaceAll("\r\n", "\n");
}
