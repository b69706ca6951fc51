import { expect, test } from "vitest";
import { TypingRhythm } from "../../../src/engine/editor_loop/typing_rhythm";

/** As many gaps as it takes to be sure, in turn those given. */
function learned(gaps: number[], times = 60): TypingRhythm {
  const rhythm = new TypingRhythm();
  for (let index = 0; index < times; index++) rhythm.record("c", gaps[index % gaps.length] ?? 0);
  return rhythm;
}

test.each<[name: string, gaps: number[], answerMs: number, wait: number]>([
  ["steady typing faster than answers: beyond its gaps", [150, 150, 150, 150, 1500], 200, 150],
  ["answers faster than the gaps: at once", [150, 150, 150, 150, 1500], 100, 0],
  ["slow typing: at once", [600, 700, 800], 300, 0],
  ["in bursts: after the gaps within them", [80, 90, 100, 80, 100, 90, 2000], 300, 90],
  ["one odd gap changes nothing", [...Array<number>(59).fill(150), 40_000], 100, 0],
  ["answers slower than anybody waits: a second at most", Array<number>(60).fill(900), 20_000, 900],
  [
    "gaps of any length: a second at most",
    [...Array<number>(50).fill(1500), ...Array<number>(10).fill(5000)],
    2000,
    1000,
  ],
])("%s", (_, gaps, answerMs, wait) => {
  expect(learned(gaps).wait("c", answerMs)).toBe(wait);
});

test("begins with the rhythm of a moderate typist", () => {
  const wait = new TypingRhythm().wait("c", 600);
  expect(wait).toBeGreaterThan(0);
  expect(wait).toBeLessThan(300);
});

test("languages have rhythms of their own", () => {
  const rhythm = learned([150, 150, 150, 150, 1500]);
  for (let index = 0; index < 60; index++) rhythm.record("markdown", 900);
  expect(rhythm.wait("markdown", 200)).toBe(0);
  expect(rhythm.wait("c", 200)).toBe(150);
});

test("what was long ago is forgotten", () => {
  const rhythm = learned([100, 100, 100, 100, 2000]);
  for (let index = 0; index < 64; index++) rhythm.record("c", 700);
  expect(rhythm.wait("c", 200)).toBe(0);
});
