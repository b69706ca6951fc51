import { describe, expect, test } from "vitest";
import type { EditKind } from "../../../src/engine/editor_loop/edit_kind";
import { advance, type LoopEvent, type LoopState } from "../../../src/engine/editor_loop/loop_state";

const edited = (kind: EditKind): LoopEvent => ({ type: "edited", kind, wait: 120 });
const event = (type: "moved" | "suggested" | "foreseen" | "warmed" | "left" | "time"): LoopEvent => ({ type });

/** The phase after an event at 1000, with when it ends, and what is done. */
function check(from: LoopState["phase"], what: LoopEvent, phase: string, ...effects: string[]): void {
  test(`${from}, ${what.type === "edited" ? what.kind : what.type}: ${[phase, ...effects].join(", ")}`, () => {
    const state: LoopState = from === "typing" ? { phase: from, until: 900 } : { phase: from };
    const step = advance(state, what, 1000);
    const until = step.state.phase === "typing" ? ` until ${String(step.state.until)}` : "";
    expect([`${step.state.phase}${until}`, ...step.effects]).toEqual([phase, ...effects]);
  });
}

describe("what the loop does", () => {
  check("away", edited("typed"), "typing until 1120", "abort", "prefill typed");
  check("idle", edited("typed"), "typing until 1120", "abort", "prefill typed");
  check("warm", edited("typed"), "typing until 1120", "abort", "prefill typed");
  check("suggest", edited("typed"), "typing until 1120", "abort", "prefill typed");
  check("warm", edited("replaced"), "typing until 1120", "abort");
  check("warm", edited("deleted"), "typing until 1300", "abort");
  check("idle", edited("inserted"), "typing until 1000", "abort", "prefill typed");
  check("idle", edited("history"), "typing until 1500", "abort");
  check("idle", edited("elsewhere"), "typing until 1500", "abort");
  check("warm", edited("many"), "idle", "abort");

  check("away", event("moved"), "typing until 1150", "abort");
  check("warm", event("moved"), "typing until 1150", "abort");
  check("typing", event("moved"), "typing until 1150", "abort");

  check("typing", event("time"), "suggest", "suggest");
  check("warm", event("time"), "warm");
  check("suggest", event("suggested"), "foresee", "foresee");
  check("foresee", event("foreseen"), "warm", "prefill whole");
  check("foresee", edited("typed"), "typing until 1120", "abort", "prefill typed");
  check("foresee", event("suggested"), "foresee");
  check("typing", event("foreseen"), "typing until 900");
  check("typing", event("suggested"), "typing until 900");
  check("away", event("suggested"), "away");
  check("warm", event("warmed"), "idle");
  check("typing", event("warmed"), "typing until 900");

  check("typing", event("left"), "away", "abort");
  check("warm", event("left"), "away", "abort");
});

test("it is no pause before its time", () => {
  const state: LoopState = { phase: "typing", until: 1001 };
  expect(advance(state, event("time"), 1000)).toEqual({ state, effects: [] });
});
