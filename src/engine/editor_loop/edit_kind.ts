/** What happened to the text, as far as it tells what the user is doing. */
export type EditKind =
  /** A key at the cursor, with what the editor adds by itself: closing brackets, indentation. */
  | "typed"
  /** Text at the cursor replaced by little else: composed by an input method, or a word completed from the list of the editor. */
  | "replaced"
  | "deleted"
  /** A longer text at once, also in the place of other text: pasted, a snippet, an accepted suggestion. */
  | "inserted"
  /** Undone or redone. */
  | "history"
  /** Not at the cursor: formatted, renamed, by another program. */
  | "elsewhere"
  /** At several cursors. */
  | "many";

/** One replaced piece of the document, in characters. */
export interface Change {
  offset: number;
  removed: number;
  text: string;
}

export interface EditCircumstances {
  isHistory: boolean;
  /** Whether text was selected, which an edit replaces; default: none was. */
  isSelected?: boolean;
  /** Offsets of the cursors. */
  cursors: readonly number[];
}

/** What a key and the editor's help for it insert at most. */
const longestTyped = 16;

export function editKind(
  changes: readonly Change[],
  { isHistory, isSelected = false, cursors }: EditCircumstances,
): EditKind {
  if (isHistory) return "history";
  if (cursors.length > 1) return "many";
  const [change, ...others] = changes;
  const [cursor] = cursors;
  if (!change || others.length > 0 || cursor === undefined || !touches(change, cursor)) return "elsewhere";
  const { removed, text } = change;
  if (text === "") return "deleted";
  const lines = text.split("\n").filter((line) => line.trim() !== "").length;
  // A composition may be long, but it grows and shrinks by little at a time, and nothing of it is selected.
  const isMuch = text.trim().length > longestTyped && (isSelected || Math.abs(text.length - removed) > longestTyped);
  if (lines > 1 || isMuch) return "inserted";
  return removed > 0 ? "replaced" : "typed";
}

/** The editor tells of the text first and of the cursor then, or the other way round. */
function touches({ offset, removed, text }: Change, cursor: number): boolean {
  return cursor >= offset && cursor <= offset + Math.max(removed, text.length);
}
