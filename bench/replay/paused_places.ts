import { isPause } from "./replay";
import { applyEdit, typedFrom, type TraceEdit } from "./trace";

/** Where somebody paused in a recorded session, and what came next. */
export interface PausedPlace {
  prefix: string;
  suffix: string;
  /** What was typed at the cursor then; empty where something else was done. */
  typed: string;
}

export interface Chosen {
  /** How many parts of the session, from all over it. */
  stretches: number;
  /** Pauses of each, one after the other, so that most of a prompt is that of the one before. */
  each: number;
}

export function pausedPlaces(start: string, edits: readonly TraceEdit[], { stretches, each }: Chosen): PausedPlace[] {
  const pauses = edits.flatMap((edit, index) => (isPause(edit, edits[index + 1]) ? [index] : []));
  const step = Math.max(each, Math.floor(pauses.length / stretches));
  const chosen = new Set(pauses.filter((_, nth) => nth % step < each).slice(0, stretches * each));
  const places: PausedPlace[] = [];
  let text = start;
  for (const [index, edit] of edits.entries()) {
    text = applyEdit(text, edit);
    if (!chosen.has(index)) continue;
    const cursor = edit.position + edit.inserted.length;
    const typed = typedFrom(edits, index + 1, cursor);
    places.push({ prefix: text.slice(0, cursor), suffix: text.slice(cursor), typed });
  }
  return places;
}
