import type { EditKind } from "./edit_kind";

/**
 * Where the loop between keystrokes stands.
 *
 * - `away`: no document of ours is in front.
 * - `typing`: a key was pressed, or the cursor moved; more is likely to come before an answer would.
 * - `suggest`: this is a pause. The suggestion for the cursor comes first.
 * - `foresee`: it was seen and may be accepted. What would be suggested after that is computed ahead.
 * - `warm`: the pause goes on, or the cursor was moved, where the editor asks for no suggestion. The whole context of the
 *   cursor is computed ahead.
 * - `idle`: there is nothing left to do until something happens. (After minutes of that, the engine host gives the graphics
 *   memory back; looking around brings none back, the first key does.)
 */
export type LoopState =
  | { phase: "away" | "suggest" | "foresee" | "warm" | "idle" }
  /** `until`: when it is a pause, in milliseconds of the clock of the events. `isMove`: the cursor moved, no key was pressed. */
  | { phase: "typing"; until: number; isMove: boolean };

export type LoopEvent =
  /** `wait`: milliseconds until a pause is likely, by the rhythm of the user. */
  | { type: "edited"; kind: EditKind; wait: number }
  /** The cursor, without an edit, or to another document. */
  | { type: "moved" }
  /** The suggestion is there, or none is wanted here. */
  | { type: "suggested" }
  /** The suggestion after the one on the screen is there, or was ended, or there is none on the screen. */
  | { type: "foreseen" }
  /** The whole context is computed, or that was ended. */
  | { type: "warmed" }
  | { type: "left" }
  /** `isAwaited`: somebody waits for a pause to begin a suggestion. */
  | { type: "time"; isAwaited: boolean };

export type LoopEffect =
  /** Ends what is being computed ahead. */
  | "abort"
  /** Computes the typed token ahead. */
  | "prefill typed"
  /** Lets suggestions begin. */
  | "suggest"
  /** Computes the suggestion after the one on the screen ahead. */
  | "foresee"
  /** Computes the whole context ahead. */
  | "prefill whole"
  /** The same, if nothing happens for another moment. */
  | "prefill whole when calm";

export interface Step {
  state: LoopState;
  effects: LoopEffect[];
}

interface Reaction {
  /** Milliseconds, or as long as the rhythm says. */
  wait: number | "rhythm";
  /** Whether the text is settled enough to compute its last token. */
  isSettled: boolean;
}

/** To each kind of edit; none: the loop rests until the user does something else. */
const reactions: Record<EditKind, Reaction | undefined> = {
  typed: { wait: "rhythm", isSettled: true },
  replaced: { wait: "rhythm", isSettled: false },
  // Who deletes is about to type something else.
  deleted: { wait: 300, isSettled: false },
  // What was accepted or pasted is finished: what comes next is asked for at once.
  inserted: { wait: 0, isSettled: true },
  history: { wait: 500, isSettled: false },
  elsewhere: { wait: 500, isSettled: false },
  many: undefined,
};

/** Milliseconds: arrow keys that are held down move the cursor every 30 or so. */
const settling = 150;

/** What the loop does next. Pure: `now` is the time of the event, in milliseconds. */
export function advance(state: LoopState, event: LoopEvent, now: number): Step {
  const stay: Step = { state, effects: [] };
  switch (event.type) {
    case "edited": {
      const reaction = reactions[event.kind];
      if (!reaction) return { state: { phase: "idle" }, effects: ["abort"] };
      const until = now + (reaction.wait === "rhythm" ? event.wait : reaction.wait);
      return {
        state: { phase: "typing", until, isMove: false },
        effects: reaction.isSettled ? ["abort", "prefill typed"] : ["abort"],
      };
    }
    case "moved":
      return { state: { phase: "typing", until: now + settling, isMove: true }, effects: ["abort"] };
    case "left":
      return { state: { phase: "away" }, effects: ["abort"] };
    case "time":
      if (state.phase !== "typing" || now < state.until) return stay;
      // The editor asks for suggestions where something was typed, and hides them when the cursor moves.
      if (state.isMove && !event.isAwaited) return { state: { phase: "warm" }, effects: ["prefill whole"] };
      return { state: { phase: "suggest" }, effects: ["suggest"] };
    case "suggested":
      if (state.phase === "suggest") return { state: { phase: "foresee" }, effects: ["foresee"] };
      // Asked for late, by hand.
      if (state.phase === "warm" || state.phase === "idle") {
        return { state: { phase: "foresee" }, effects: ["abort", "foresee"] };
      }
      return stay;
    case "foreseen":
      return state.phase === "foresee" ? { state: { phase: "warm" }, effects: ["prefill whole when calm"] } : stay;
    case "warmed":
      return state.phase === "warm" ? { state: { phase: "idle" }, effects: [] } : stay;
  }
}
