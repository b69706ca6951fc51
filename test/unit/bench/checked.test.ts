import { expect, test } from "vitest";
import { checkedRows, noCost, type Answer, type CheckedSample } from "../../../bench/completion/checked_rows";

function answer(text: string, milliseconds: number, passes = 1): Answer {
  return { ...noCost, text, passes, milliseconds, processorMs: 2 * milliseconds, joules: milliseconds / 10 };
}

/** The text of a line, the suggestions of the fast model, of the check (null: none) and of the larger model alone. */
function sample(expected: string, fast: string, checked: string | null, alone: string): CheckedSample {
  return {
    expected,
    fast: answer(fast, 10),
    checked: checked === null ? null : answer(checked, 30, 2),
    alone: answer(alone, 50, 6),
    fastContext: { ...noCost, milliseconds: 100, processorMs: 200 },
    mainContext: { ...noCost, milliseconds: 300, processorMs: 600 },
  };
}

const samples = [
  sample("a", "a", "a", "a"),
  sample("b", "x", "b", "b"),
  sample("c", "c", "x", "x"),
  sample("dd", "dx", "", "dd"),
  sample("e", "", null, "e"),
];

/** Value, and that of each peer. */
function figure(id: string, hasMeter = true): (number | null)[] {
  const rows = checkedRows(samples, hasMeter).filter((row) => row.id === id);
  return [...new Set(rows.map(({ value }) => value)), ...rows.flatMap(({ peerValue }) => peerValue ?? [])];
}

test.each<[id: string, figures: number[]]>([
  ["cases", [5]],
  ["lines completed exactly", [40, 40, 80]],
  ["share of the line before the first error", [40, 50, 80]],
  ["time to the first text", [10, 10, 50]],
  ["time to the final text", [40, 10, 50]],
  // Four of five are checked.
  ["processor time of a suggestion", [68, 20, 100]],
  ["processor time of a suggestion and all of its context", [868, 220, 700]],
  ["exact lines a second of processor time", [5.882, 20, 8]],
  ["exact lines a second of processor time, with contexts", [0.4608, 1.818, 1.143]],
  ["exact lines a second until the final text", [11.76, 40, 16]],
  ["exact lines a joule, with contexts", [0.1176, 0.4, 0.16]],
  ["suggestions kept", [25]],
  ["suggestions changed", [75]],
  ["of the changed: wrong before, right now", [33.33]],
  ["of the changed: right before, wrong now", [33.33]],
  ["of the changed: more of the line is right", [33.33]],
  ["of the changed: less of the line is right", [66.67]],
  ["of the changed: nothing is left", [33.33]],
  ["passes over the 1.5B for a suggestion", [2, 6]],
  ["time of the 1.5B for a suggestion", [30, 50]],
])("%s", (id, figures) => {
  expect(figure(id)).toEqual(figures);
});

test("joules are told only where they were measured", () => {
  expect(figure("exact lines a joule, with contexts", false)).toEqual([]);
});
