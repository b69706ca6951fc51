import { describe, expect, test } from "vitest";
import { calibrationRows } from "../../../bench/replay/calibration_benchmark";
import { pausedPlaces } from "../../../bench/replay/paused_places";
import type { TraceEdit } from "../../../bench/replay/trace";
import { fittedModel, logOdds } from "../../../src/engine/completion/suggestion_score";

describe("the places where somebody paused", () => {
  const edit = (at: number, position: number, inserted: string, deleted = 0): TraceEdit => ({
    at,
    position,
    deleted,
    inserted,
  });

  test("have the text around the cursor and what was typed next", () => {
    const edits = [edit(0, 1, "b"), edit(500, 2, "c"), edit(600, 3, "d"), edit(1000, 0, "x"), edit(2000, 0, "", 1)];
    expect(pausedPlaces("a;", edits, { stretches: 1, each: 9 })).toEqual([
      { prefix: "ab", suffix: ";", typed: "cd" },
      { prefix: "abcd", suffix: ";", typed: "" },
      { prefix: "x", suffix: "abcd;", typed: "" },
    ]);
  });

  test("come from all over the session, so many of each part", () => {
    const edits = Array.from({ length: 41 }, (_, index) => edit(400 * index, index, "x"));
    const places = pausedPlaces("", edits, { stretches: 4, each: 2 });
    expect(places.map(({ prefix }) => prefix.length)).toEqual([1, 2, 11, 12, 21, 22, 31, 32]);
  });
});

describe("the rows", () => {
  /** A suggestion that the coefficients in use think so probable. */
  const sample = (probability: number, isRight: boolean) => ({
    features: [(logOdds(probability) - fittedModel.intercept) / (fittedModel.weights[0] ?? 1), 0],
    isRight,
  });
  const valuesOf = (samples: ReturnType<typeof sample>[]) =>
    new Map(calibrationRows(samples).map(({ id, value, peerValue }) => [id, [value, peerValue]]));

  test("say how many are right beside how many were thought to be", () => {
    const values = valuesOf([
      ...[true, false].map((isRight) => sample(0.8, isRight)),
      ...[true, false, false, false, false].map((isRight) => sample(0.2, isRight)),
      sample(0.06, false),
    ]);
    expect(values.get("all suggestions (8): thought right")).toEqual([33.25, 25]);
    expect(values.get("those thought 0.5 to 1 probable (2): thought right")).toEqual([80, 50]);
    expect(values.get("those thought 0.1 to 0.25 probable (5): thought right")).toEqual([20, 20]);
    expect(values.get("those thought 0 to 0.1 probable (1): thought right")).toEqual([6, 0]);
    expect([...values.keys()].some((id) => id.startsWith("those thought 0.25 to 0.5"))).toBe(false);
    expect(values.get("normal: shown suggestions that are right")).toEqual([50, 25]);
    expect(values.get("normal: right suggestions that are shown")).toEqual([50, null]);
    expect(values.get("normal: wrong suggestions that are hidden")).toEqual([83.33, null]);
  });

  test("follow what the user accepts", () => {
    // Thought to be right every third time, but never.
    const values = valuesOf([...Array.from({ length: 60 }, () => sample(0.3, false)), sample(0.9, true)]);
    expect(values.get("normal: wrong suggestions that are hidden")?.[0]).toBe(0);
    expect(values.get("normal, with what the user accepts: wrong suggestions that are hidden")?.[0]).toBeGreaterThan(
      60,
    );
    expect(values.get("normal, with what the user accepts: right suggestions that are shown")?.[0]).toBe(100);
  });
});
