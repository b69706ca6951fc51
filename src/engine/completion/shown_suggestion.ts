import { plainLineEnds } from "./line_ends";

/** Ghost text and where it is. */
export interface ShownSuggestion {
  path: string;
  /** Document text before and after the cursor. */
  prefix: string;
  suffix: string;
  text: string;
}

/** What became of ghost text. */
export type Fate =
  /** The cursor is still where it is, or what was typed since is the beginning of it. */
  | "open"
  /** All of it is in the document now, accepted or typed. */
  | "accepted"
  /** Something else was typed. */
  | "rejected"
  /** The user is elsewhere, or has deleted what was before it. */
  | "left";

/** By the text around the cursor now. */
export function fateOf(shown: ShownSuggestion, now: Omit<ShownSuggestion, "text">): Fate {
  const before = plainLineEnds(shown.prefix);
  const prefix = plainLineEnds(now.prefix);
  if (now.path !== shown.path || !prefix.startsWith(before)) return "left";
  const typed = prefix.slice(before.length);
  if (typed === "") return now.suffix === shown.suffix ? "open" : "left";
  if (typed.startsWith(shown.text)) return "accepted";
  return shown.text.startsWith(typed) ? "open" : "rejected";
}
