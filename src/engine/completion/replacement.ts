import { plainLineEnds } from "./line_ends";
import { typedSince, type ShownSuggestion } from "./shown_suggestion";

/** Ghost text that a better model may replace. */
export interface Replaceable extends ShownSuggestion {
  /** Some of it was typed or accepted. */
  isBegun: boolean;
  /** It is what a check left or made of it. */
  isChecked: boolean;
}

/**
 * Whether ghost text may become another one under the eyes of the user: once, and only as long as it stands where it came, so
 * that nobody accepts what has just changed.
 *
 * @param now the text around the cursor; undefined: the document has changed, or another one is in front.
 */
export function mayReplace(shown: Replaceable, now: Omit<ShownSuggestion, "text"> | undefined): boolean {
  if (!now || shown.isBegun || shown.isChecked) return false;
  return typedSince(shown, now) === "" && plainLineEnds(shown.suffix) === plainLineEnds(now.suffix);
}
