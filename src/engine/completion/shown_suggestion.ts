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

type Place = Omit<ShownSuggestion, "text">;

/** By the text around the cursor now. */
export function fateOf(shown: ShownSuggestion, now: Place): Fate {
  const typed = typedSince(shown, now);
  if (typed === undefined) return "left";
  if (typed === "") return now.suffix === shown.suffix ? "open" : "left";
  if (typed.startsWith(shown.text)) return "accepted";
  return shown.text.startsWith(typed) ? "open" : "rejected";
}

/** Whether the first line with text of ghost text is in the document now. */
export function hasFirstLine(shown: ShownSuggestion, now: Place): boolean {
  const begin = shown.text.search(/\S/);
  const end = shown.text.indexOf("\n", begin);
  return begin >= 0 && (typedSince(shown, now) ?? "").startsWith(end < 0 ? shown.text : shown.text.slice(0, end));
}

/** What stands between both places; undefined: the text before is another one. */
export function typedSince(shown: Place, now: Place): string | undefined {
  const before = plainLineEnds(shown.prefix);
  const prefix = plainLineEnds(now.prefix);
  return now.path === shown.path && prefix.startsWith(before) ? prefix.slice(before.length) : undefined;
}
