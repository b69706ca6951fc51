import type { ModelRole } from "../../shared/models";
import type { ModelEntry } from "./model_entry";

export interface Waking {
  role: ModelRole;
  /** Whether nobody asks yet, but is about to. A request itself reads in what it needs. */
  isAhead: boolean | undefined;
  /** Milliseconds, as of `lastUsed`. */
  now: number;
  /** All models in memory. */
  entries: Iterable<ModelEntry>;
}

/** Milliseconds without a request after which the system may have put away what is mapped from the model's file. */
const longIdle = 2 * 60_000;

/** Somebody is at a model: what it gave back is filled, what was put away is read in, and its draft model is made ready. */
export function wakeModel(entry: ModelEntry, { role, isAhead, now, entries }: Waking): void {
  entry.graphics.fill();
  const mayBePutAway = entry.graphics.isCutShort || now - entry.lastUsed >= longIdle;
  if (isAhead && mayBePutAway) entry.graphics.pageIn();
  // So that it is there when the answer begins.
  entry.draft.prepare();
  if (role !== "fast") return;
  // Who types in an editor is not at the chat any more, and what is copied for it is in the way of ghost text.
  for (const other of entries) {
    if (other !== entry) other.graphics.stopUnwanted();
  }
}
