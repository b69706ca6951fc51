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
  const [cursor] = cursors;
  const change = cursor === undefined ? undefined : changeAt(cursor, changes);
  if (!change) return "elsewhere";
  const { removed, text } = change;
  if (text === "") return "deleted";
  const lines = text.split("\n").filter((line) => line.trim() !== "").length;
  // A composition may be long, but it grows and shrinks by little at a time, and nothing of it is selected.
  const isMuch = text.trim().length > longestTyped && (isSelected || Math.abs(text.length - removed) > longestTyped);
  if (lines > 1 || isMuch) return "inserted";
  return removed > 0 ? "replaced" : "typed";
}

/** The one at the cursor, unless the others are more than what the editor does because of it. */
function changeAt(cursor: number, changes: readonly Change[]): Change | undefined {
  const touching = changes.filter((change) => touches(change, cursor));
  const change = touching.find(({ text }) => text !== "") ?? touching[0];
  const isPartOfIt = (other: Change) => other === change || isTrimmed(other, change) || isLinked(other, change);
  return change && changes.every(isPartOfIt) ? change : undefined;
}

/** The indentation of a line on which nothing was written goes with the next Enter. */
function isTrimmed({ offset, removed, text }: Change, next: Change | undefined): boolean {
  return text === "" && offset + removed === next?.offset;
}

/** In the other tag of a pair the same is typed or deleted (`editor.linkedEditing`); who renames replaces. */
function isLinked({ removed, text }: Change, typed: Change | undefined): boolean {
  return removed === typed?.removed && text === typed.text && (removed === 0 || text === "");
}

/** The editor tells of the text first and of the cursor then, or the other way round. */
function touches({ offset, removed, text }: Change, cursor: number): boolean {
  return cursor >= offset && cursor <= offset + Math.max(removed, text.length);
}
