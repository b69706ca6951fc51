import { applyEdit, typedFrom, type TraceEdit } from "./trace";

/** A document with one cursor. */
export interface ReplayedDocument {
  text: string;
  cursor: number;
}

/** Why nothing is on the screen. */
export const silences = {
  waiting: "not asked for: more typing was likely",
  underWay: "the model is at it",
  empty: "the model wrote nothing: the line is complete",
  cut: "all that the model wrote is there already, before or behind the cursor",
  rejected: "it was rejected before",
  unlikely: "it is probably wrong",
  failed: "the engine failed",
} as const;

export type Silence = keyof typeof silences;

/** Something that suggests while a document is edited. */
export interface Suggester {
  /** Why it has suggested nothing since the last edit; undefined where that is not known. */
  readonly silence: Silence | undefined;
  /** The document has changed; `edit` is what was done. Suggestions for an earlier state count no more. */
  edited(document: ReplayedDocument, edit: TraceEdit): void;
  /** The cursor has been put somewhere else. */
  moved(document: ReplayedDocument): void;
  /** Whatever it computes from now on is not looked at. */
  stop(): Promise<void>;
}

/** Makes a suggester that calls `show` with the text for the document of the last call of `edited`. */
export type StartSuggester = (show: (suggestion: string) => void) => Suggester;

export interface PauseRecord {
  /** Milliseconds from the key to the next edit. */
  length: number;
  /** Milliseconds from the key to the first suggestion on the screen; null: there was none before the next edit. */
  shownAfter: number | null;
  /** Why there was none, at the end of the pause. */
  silence: Silence | undefined;
  /** Whether its first line is what was typed next. */
  isRight: boolean;
  /** Characters that accepting it would have spared. */
  savedCharacters: number;
}

const shortestPause = 300;

/** Whether the user looks up behind something typed, before the next edit. */
export function isPause({ at, inserted }: TraceEdit, next: TraceEdit | undefined): next is TraceEdit {
  return next !== undefined && next.at - at >= shortestPause && inserted !== "";
}

/** How long before an edit elsewhere the cursor is put there, at most. */
const lookAround = 800;

/** Replays edits in real time and records what was on the screen in the pauses between them. */
export async function replay(
  start: string,
  edits: readonly TraceEdit[],
  startSuggester: StartSuggester,
): Promise<PauseRecord[]> {
  const document: ReplayedDocument = { text: start, cursor: start.length };
  let shown: { text: string; at: number } | undefined;
  const suggester = startSuggester((text) => {
    if (text !== "") shown ??= { text, at: performance.now() };
  });
  const pauses: PauseRecord[] = [];
  const begin = performance.now() - (edits[0]?.at ?? 0);
  let savedUntil = -1;
  for (const [index, edit] of edits.entries()) {
    if (edit.position !== document.cursor && edit.position + edit.deleted !== document.cursor) {
      const gap = edit.at - (edits[index - 1]?.at ?? edit.at);
      await sleepUntil(begin + edit.at - Math.min(gap / 2, lookAround));
      // What is deleted is deleted backwards, or was selected, with the cursor at its end.
      document.cursor = edit.position + edit.deleted;
      suggester.moved({ ...document });
    }
    await sleepUntil(begin + edit.at);
    document.text = applyEdit(document.text, edit);
    document.cursor = edit.position + edit.inserted.length;
    shown = undefined;
    const keyAt = performance.now();
    suggester.edited({ ...document }, edit);

    const next = edits[index + 1];
    if (!isPause(edit, next)) continue;
    await sleepUntil(begin + next.at - 5);
    const typed = typedFrom(edits, index + 1, document.cursor);
    const suggestion = shown as { text: string; at: number } | undefined;
    const right = suggestion ? rightCharacters(suggestion.text, typed) : 0;
    // What an accepted suggestion has typed is not typed again.
    const saved = index > savedUntil ? Math.max(0, right - 1) : 0;
    if (saved > 0) savedUntil = index + right;
    pauses.push({
      length: next.at - edit.at,
      shownAfter: suggestion ? suggestion.at - keyAt : null,
      silence: suggestion ? undefined : suggester.silence,
      isRight: right > 0,
      savedCharacters: saved,
    });
  }
  await suggester.stop();
  return pauses;
}

/** Characters of whole lines at the beginning of a suggestion that are typed next. */
export function rightCharacters(suggestion: string, typed: string): number {
  let right = 0;
  for (const line of suggestion.split("\n")) {
    const end = right === 0 ? line.length : right + 1 + line.length;
    if (!typed.startsWith(suggestion.slice(0, end))) break;
    right = end;
  }
  return right;
}

async function sleepUntil(moment: number): Promise<void> {
  for (let left = moment - performance.now(); left > 0.5; left = moment - performance.now()) {
    await new Promise((resolve) => setTimeout(resolve, left));
  }
}
