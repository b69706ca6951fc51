import { describe, expect, test } from "vitest";
import { AcceptRate } from "../../../src/engine/completion/accept_rate";
import { restOf } from "../../../src/engine/completion/suggestion";
import {
  featuresOf,
  fittedModel,
  fromLogOdds,
  leastProbability,
  logOdds,
  probabilityOf,
} from "../../../src/engine/completion/suggestion_score";

const confidence = { tokens: 4, mean: -0.5, least: -1.5 };

describe("what is known of a suggestion", () => {
  function check(prefix: string, text: string, expected: number[] | undefined): void {
    test(`${JSON.stringify(prefix)} + ${JSON.stringify(text)}`, () => {
      expect(featuresOf(prefix, { text, confidence })).toEqual(expected);
    });
  }

  check("", "x", [-2, -0.5, 0]);
  check("let a", " = 1;", [-2, -0.5, 0.05]);
  check("let a\n  b", "c", [-2, -0.5, 0.03]);
  check("x".repeat(200), "c", [-2, -0.5, 0.4]);
  check("let a", "", undefined);

  test("nothing where the engine does not say how confident the model was", () => {
    expect(featuresOf("a", { text: "b", confidence: null })).toBeUndefined();
  });
});

describe("the probability of being right", () => {
  const of = (prefix: string, tokens: number, mean: number): number => {
    const values = featuresOf(prefix, { text: "text", confidence: { tokens, mean, least: mean } });
    return probabilityOf(fittedModel, values ?? []);
  };

  test("follows the odds", () => {
    expect(probabilityOf({ intercept: 0, weights: [] }, [])).toBe(0.5);
    expect(probabilityOf({ intercept: 1, weights: [2, -1] }, [0.5, 2])).toBe(0.5);
    expect(fromLogOdds(logOdds(0.2))).toBeCloseTo(0.2);
  });

  test("is greater for a model that is certain, for less text and farther to the left", () => {
    expect(of("", 4, -0.01)).toBeGreaterThan(0.8);
    expect(of("", 4, -0.01)).toBeGreaterThan(of("", 4, -0.2));
    expect(of("", 4, -0.2)).toBeGreaterThan(of("", 8, -0.2));
    expect(of("", 4, -0.2)).toBeGreaterThan(of("x".repeat(30), 4, -0.2));
    expect(of("", 8, -1)).toBeLessThan(leastProbability.low);
  });
});

describe("what is left of a suggestion", () => {
  test.each([
    ["abcd", "abcd", 4],
    ["abcd", "cd", 2],
    ["abcd\nefgh", "cd\nefgh", 2],
    ["\n  abcd\nefgh", "ab\nefgh", 2],
    ["", "", 4],
  ])("of %j, %j: %d tokens", (text, rest, tokens) => {
    expect(restOf({ text, confidence }, rest)).toEqual({ text: rest, confidence: { ...confidence, tokens } });
  });

  test("of one without confidence has none", () => {
    expect(restOf({ text: "ab", confidence: null }, "b")).toEqual({ text: "b", confidence: null });
  });
});

describe("how often the user accepts", () => {
  /** The probability 0.5 after suggestions of 0.4, of which so many were accepted. */
  function after(accepted: number, rejected: number): number {
    const rate = new AcceptRate();
    for (let index = 0; index < accepted + rejected; ++index) rate.record(0.4, index < accepted);
    return rate.adjusted(0.5);
  }

  test("changes nothing where it is as expected, or unknown", () => {
    expect(after(0, 0)).toBe(0.5);
    expect(after(4, 6)).toBeCloseTo(0.5);
  });

  test("changes more the more suggestions there were, but not without bounds", () => {
    expect(after(0, 5)).toBeLessThan(0.5);
    expect(after(0, 20)).toBeLessThan(after(0, 5));
    expect(after(20, 0)).toBeGreaterThan(0.65);
    expect(after(0, 200)).toBeCloseTo(fromLogOdds(-1));
    expect(after(200, 0)).toBeCloseTo(fromLogOdds(1));
  });

  test("forgets", () => {
    const rate = new AcceptRate();
    for (let index = 0; index < 30; ++index) rate.record(0.5, false);
    for (let index = 0; index < 50; ++index) rate.record(0.5, index % 2 === 0);
    expect(rate.adjusted(0.5)).toBeCloseTo(0.5);
  });
});
