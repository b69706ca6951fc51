import { describe, expect, test } from "vitest";
import type { EditKind } from "../../../src/engine/editor_loop/edit_kind";
import { advance, type LoopEvent, type LoopState } from "../../../src/engine/editor_loop/loop_state";

const edited = (kind: EditKind): LoopEvent => ({ type: "edited", kind, wait: 120 });
const event = (type: "moved" | "suggested" | "foreseen" | "warmed" | "left"): LoopEvent => ({ type });
const time = (isAwaited: boolean): LoopEvent => ({ type: "time", isAwaited });

/** The phase after an event at 1000, with when it ends, and what is done. */
function check(from: LoopState["phase"] | "moving", what: LoopEvent, phase: string, ...effects: string[]): void {
  test(`${from}, ${what.type === "edited" ? what.kind : what.type}: ${[phase, ...effects].join(", ")}`, () => {
    const isMove = from === "moving";
    const state: LoopState = isMove || from === "typing" ? { phase: "typing", until: 900, isMove } : { phase: from };
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

  check("typing", time(true), "suggest", "suggest");
  check("typing", time(false), "suggest", "suggest");
  check("moving", time(true), "suggest", "suggest");
  check("moving", time(false), "warm", "prefill whole");
  check("warm", time(false), "warm");
  check("suggest", event("suggested"), "foresee", "foresee");
  check("warm", event("suggested"), "foresee", "abort", "foresee");
  check("idle", event("suggested"), "foresee", "abort", "foresee");
  check("foresee", event("foreseen"), "warm", "prefill whole when calm");
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
  const state: LoopState = { phase: "typing", until: 1001, isMove: true };
  expect(advance(state, time(false), 1000)).toEqual({ state, effects: [] });
});
