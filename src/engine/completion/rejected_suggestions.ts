import type { ShownSuggestion } from "./shown_suggestion";

/** Rejections that are remembered. */
const capacity = 100;

/** Characters before the cursor that tell places apart, blanks not counted. */
const reach = 100;

/** The same with blanks: code of blanks mostly is rare, so much of it has enough of the rest. */
const blanksReach = 20 * reach;

interface Rejection {
  path: string;
  /** The text before the suggestion and the suggestion, without blanks. */
  end: string;
  /** Characters of it that were rejected. */
  rejected: number;
  /** There was no more text before it: the document begins there. */
  isWhole: boolean;
}

type Suggestion = Omit<ShownSuggestion, "suffix">;

/**
 * Suggestions that the user did not want, by document, the text before them and their own: each is not shown again where it
 * was rejected, nor before that place as the beginning of the same text. What is typed in agreement with one brings it back,
 * and so does another text before it, but for blanks. The oldest rejections are forgotten.
 */
export class RejectedSuggestions {
  private rejections: Rejection[] = [];

  add(suggestion: Suggestion): void {
    const rejected = withoutBlanks(suggestion.text).length;
    const end = wholeOf(suggestion).slice(-rejected - reach);
    const isWhole = suggestion.prefix.length <= blanksReach && end.length < rejected + reach;
    this.rejections = [...this.rejections, { path: suggestion.path, end, rejected, isWhole }].slice(-capacity);
  }

  has(suggestion: Suggestion): boolean {
    const whole = wholeOf(suggestion);
    const { length } = withoutBlanks(suggestion.text);
    return this.rejections.some(
      ({ path, end, rejected, isWhole }) =>
        path === suggestion.path && length >= rejected && (isWhole ? whole === end : whole.endsWith(end)),
    );
  }
}

function wholeOf({ prefix, text }: Suggestion): string {
  return withoutBlanks(prefix.slice(-blanksReach)).slice(-reach) + withoutBlanks(text);
}

function withoutBlanks(text: string): string {
  return text.replaceAll(/\s+/g, "");
}
